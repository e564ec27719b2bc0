//! A worker as the operating system sees it: it runs, stops for a while, or dies with everything that it had in memory.
//!
//! The rule: a process that is stopped is not polled, whatever its timers say; one that has died does nothing to the outside any more, not
//! even in the poll in which it died.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::stream::{FuturesUnordered, Stream};
use pelton::{checkpoint::kill, clock::Clock, error::Result, task};
use tokio::time::{Instant, Sleep};

use super::world::{EPOCH_MS, World, lock};

/// What others can do to a process.
#[derive(Debug, Default)]
pub struct Life {
    dead: AtomicBool,
    stopped_until: Mutex<Option<Instant>>,
    waker: Mutex<Option<Waker>>,
}

impl Life {
    /// Kills it.
    pub fn kill(&self) {
        self.dead.store(true, Ordering::Relaxed);
        self.wake();
    }

    /// Whether it has died.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Stops it for a while, as SIGSTOP and SIGCONT do.
    pub fn pause(&self, time: Duration) {
        *lock(&self.stopped_until) = Some(Instant::now() + time);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = lock(&self.waker).take() {
            waker.wake();
        }
    }
}

/// How a process ended.
#[derive(Debug)]
pub enum Ended {
    /// it died
    Died,
    /// by itself
    Over(Result<()>),
}

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A running process.
pub struct Process {
    world: Arc<World>,
    life: Arc<Life>,
    main: Pin<Box<dyn Future<Output = Result<()>>>>,
    tasks: FuturesUnordered<Work>,
    begun: Rc<RefCell<Vec<Work>>>,
    host: task::Host,
    watch: Rc<dyn Fn(&'static str)>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Process {
    /// A process that does this. It is made inside of itself: what `main` spawns at once is its own.
    pub fn start<F>(world: Arc<World>, life: Arc<Life>, name: String, main: impl FnOnce() -> F) -> Self
    where
        F: Future<Output = Result<()>> + 'static,
    {
        let begun: Rc<RefCell<Vec<Work>>> = Rc::default();
        let into = begun.clone();
        let host: task::Host = Rc::new(move |work| into.borrow_mut().push(work));
        let (sees, dies) = (world.clone(), life.clone());
        let watch = Rc::new(move |point: &'static str| {
            if !dies.is_dead() && sees.strikes("crash_at_point") {
                sees.note(format!("{name} dies at {point}"));
                dies.kill();
            }
        });
        let before = task::host(Some(host.clone()));
        let main = Box::pin(main());
        task::host(before);
        Self { world, life, main, tasks: FuturesUnordered::new(), begun, host, watch, sleep: None }
    }

    fn run(&mut self, context: &mut Context<'_>) -> Option<Result<()>> {
        loop {
            if let Poll::Ready(end) = self.main.as_mut().poll(context) {
                return Some(end);
            }
            let mut moved = false;
            self.tasks.extend(self.begun.borrow_mut().drain(..));
            while !self.life.is_dead() && matches!(Pin::new(&mut self.tasks).poll_next(context), Poll::Ready(Some(())))
            {
                moved = true;
            }
            if self.life.is_dead() || (self.begun.borrow().is_empty() && !moved) {
                return None;
            }
        }
    }
}

impl Future for Process {
    type Output = Ended;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Ended> {
        let this = &mut *self;
        *lock(&this.life.waker) = Some(context.waker().clone());
        if this.life.is_dead() {
            return Poll::Ready(Ended::Died);
        }
        let stopped = *lock(&this.life.stopped_until);
        if let Some(until) = stopped {
            let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if sleep.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            this.sleep = None;
            *lock(&this.life.stopped_until) = None;
        }
        let before = task::host(Some(this.host.clone()));
        kill::watch(Some(this.watch.clone()));
        let end = this.run(context);
        kill::watch(None);
        task::host(before);
        match end {
            _ if this.life.is_dead() => Poll::Ready(Ended::Died),
            Some(end) => Poll::Ready(Ended::Over(end)),
            None if this.world.strikes("crash") => {
                this.life.kill();
                Poll::Ready(Ended::Died)
            }
            None => Poll::Pending,
        }
    }
}

/// The clocks of one machine: the wall clock may be wrong and jump, the other runs a little fast or slow.
#[derive(Debug)]
pub struct MachineClock {
    start: Instant,
    /// of a million
    drift: i64,
    skew_us: Mutex<i64>,
}

impl MachineClock {
    /// A clock that drifts by so many millionths.
    pub fn new(drift: i64) -> Self {
        Self { start: Instant::now(), drift, skew_us: Mutex::new(0) }
    }

    /// The wall clock is set.
    pub fn jump(&self, by_us: i64) {
        *lock(&self.skew_us) = by_us;
    }
}

impl Clock for MachineClock {
    fn wall_us(&self) -> i64 {
        (EPOCH_MS * 1000) as i64 + self.elapsed().as_micros() as i64 + *lock(&self.skew_us)
    }

    fn elapsed(&self) -> Duration {
        let real = self.start.elapsed().as_micros() as i64;
        Duration::from_micros((real + real / 1_000_000 * self.drift + real % 1_000_000 * self.drift / 1_000_000) as u64)
    }
}
