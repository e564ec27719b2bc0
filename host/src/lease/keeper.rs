//! Takes leases, renews them, gives them back: what one worker does with one lease table.
//!
//! The rules: a lease is lost when it could not be renewed for its duration, even if nobody took it; one that gets nowhere is not renewed;
//! a lease that another worker asks for is handed over when its epoch is committed, or taken after [`PATIENCE`] durations, and then run only
//! when the permit of the one before has ended. Rows of shards that are over stay until the worker has seen them and says what it needs. Every
//! write of a row goes through here, one after the other, so a renewal and a checkpoint never meet.
//! Left to others: what to take (`assign`), what runs under a lease (`job`).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{
    Change, Checkpoint, Expect, Grant, Lease, LeaseTable, Progress, Switches, Told, Updated,
    assign::{Plan, Sight},
};
use crate::{
    clock::{self, Clock},
    error::Result,
    permit::Permit,
    planted, random,
    task::{self, Task},
};

/// A hand-over that takes longer than so many durations is forced.
pub const PATIENCE: u32 = 3;
/// A partition that does nothing for so many durations (and [`STILL`]) is not renewed.
const STILL_DURATIONS: u32 = 6;
const STILL: Duration = Duration::from_secs(60);
/// What hung here is left to others for so many durations.
const SHUN: u32 = 3;
/// Whatever is not a renewal may take this part of a duration, so that renewals come in time.
const OTHER: u32 = 5;
/// Words between the keeper and its worker that wait.
const QUEUE: usize = 1024;

/// Who keeps, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// names this process and no other, ever
    pub worker: String,
    /// a lease that was not renewed for so long is free
    pub duration: Duration,
}

/// What the worker must know.
#[derive(Debug)]
pub enum Event {
    /// run this
    Gained(Grant),
    /// end the epoch and give it back: another worker asks for it
    Wanted(String),
    /// drop it at once
    Lost(String),
}

enum Command {
    Ensure(Vec<Lease>),
    Release(String),
    Ended(String, Vec<Lease>),
    Enough,
    Stop(oneshot::Sender<()>),
}

/// A lease as its holder sees it, for people who look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// the row as it was last written
    pub lease: Lease,
    /// since when, by the worker's clock
    pub since: Duration,
    /// why it was taken
    pub why: &'static str,
}

/// The worker's side. The keeper ends when this is dropped.
pub struct Keeper {
    commands: mpsc::Sender<Command>,
    held: Arc<Mutex<BTreeMap<String, Held>>>,
    known: Arc<Mutex<BTreeSet<String>>>,
    _task: Task<()>,
}

impl Keeper {
    /// Starts to keep.
    pub fn start(
        table: Arc<dyn LeaseTable>,
        options: Options,
        clock: Arc<dyn Clock>,
        runtime: &Handle,
    ) -> (Self, mpsc::Receiver<Event>) {
        let (commands, asked) = mpsc::channel(QUEUE);
        let (tell, events) = mpsc::channel(QUEUE);
        let held = Arc::new(Mutex::new(BTreeMap::new()));
        let known = Arc::new(Mutex::new(BTreeSet::new()));
        let keeping = Keeping {
            table,
            options,
            clock,
            tell,
            held: BTreeMap::new(),
            shown: held.clone(),
            known: known.clone(),
            sight: Sight::default(),
            asked: BTreeMap::new(),
            shunned: BTreeMap::new(),
            waiting: Vec::new(),
            may_clean: false,
        };
        (Self { commands, held, known, _task: task::spawn(runtime, keeping.run(asked)) }, events)
    }

    async fn say(&self, command: Command) {
        // A keeper that has ended lost its leases, and says so by its events.
        let _ = self.commands.send(command).await;
    }

    /// These rows are made if they are missing.
    pub async fn ensure(&self, leases: Vec<Lease>) {
        self.say(Command::Ensure(leases)).await;
    }

    /// Nothing runs under the lease any more: whoever asks for it, or anybody, may have it.
    pub async fn release(&self, key: &str) {
        self.say(Command::Release(key.to_owned())).await;
    }

    /// The shard is sealed: rows for its children first, then its own says that it has ended.
    pub async fn ended(&self, key: &str, children: Vec<Lease>) {
        self.say(Command::Ended(key.to_owned(), children)).await;
    }

    /// Nothing more is taken: the worker is about to leave.
    pub async fn enough(&self) {
        self.say(Command::Enough).await;
    }

    /// Writes what is left to write, and ends.
    pub async fn stop(&self) {
        let (done, stopped) = oneshot::channel();
        self.say(Command::Stop(done)).await;
        let _ = stopped.await;
    }

    /// Whether there was a row for this when the table was last looked at.
    pub fn knows(&self, key: &str) -> bool {
        lock(&self.known).contains(key)
    }

    /// What is held.
    pub fn held(&self) -> BTreeMap<String, Held> {
        lock(&self.held).clone()
    }
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Own {
    lease: Lease,
    permit: Permit,
    /// when the last renewal that succeeded was begun
    renewed: Duration,
    since: Duration,
    why: &'static str,
    wanted: bool,
    /// nothing runs under it any more: whatever became of the last write, it is not renewed
    is_over: bool,
    progress: Progress,
    /// what the row has to learn
    untold: Option<Told>,
}

struct Keeping {
    table: Arc<dyn LeaseTable>,
    options: Options,
    clock: Arc<dyn Clock>,
    tell: mpsc::Sender<Event>,
    held: BTreeMap<String, Own>,
    shown: Arc<Mutex<BTreeMap<String, Held>>>,
    known: Arc<Mutex<BTreeSet<String>>>,
    sight: Sight,
    /// since when a lease of another worker is asked for
    asked: BTreeMap<String, Duration>,
    /// what hung under us is left to others until this time
    shunned: BTreeMap<String, Duration>,
    /// taken by force: told to the worker at this time
    waiting: Vec<(Duration, Grant)>,
    /// the worker has looked at the rows, and said what it needs
    may_clean: bool,
}

impl Keeping {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let renew = self.options.duration / 3;
        let (mut next_renewal, mut next_look) = (self.clock.elapsed() + renew, self.clock.elapsed());
        let mut looks = true;
        loop {
            let now = self.clock.elapsed();
            let next = if looks { next_renewal.min(next_look) } else { next_renewal };
            let wait = next.saturating_sub(now);
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    None => return,
                    Some(Command::Stop(done)) => {
                        let _ = done.send(());
                        return;
                    }
                    Some(Command::Enough) => looks = false,
                    Some(command) => {
                        if matches!(command, Command::Ensure(_)) {
                            self.may_clean = true;
                            next_look = self.clock.elapsed();
                        }
                        let limit = self.options.duration / OTHER;
                        if clock::timeout(limit, self.obey(command)).await.is_none() {
                            tracing::warn!("the lease table does not answer within {limit:?}");
                        }
                    }
                },
                () = clock::sleep(wait) => {}
            }
            if self.clock.elapsed() >= next_renewal {
                next_renewal = self.clock.elapsed() + renew;
                self.renew().await;
                if !self.asked.is_empty() {
                    next_look = self.clock.elapsed();
                }
                self.grant_waiting().await;
            }
            if looks && self.clock.elapsed() >= next_look {
                // not all workers at the same moment
                next_look =
                    self.clock.elapsed() + self.options.duration / 2 + random::jitter(self.options.duration / 2);
                let limit = self.options.duration / OTHER;
                match clock::timeout(limit, self.look()).await {
                    Some(Ok(())) => {}
                    Some(Err(failed)) => tracing::warn!("the lease table cannot be read: {failed}"),
                    None => tracing::warn!("the lease table does not answer within {limit:?}"),
                }
            }
            self.show();
        }
    }

    fn show(&self) {
        let held = |own: &Own| Held { lease: own.lease.clone(), since: own.since, why: own.why };
        *lock(&self.shown) = self.held.iter().map(|(key, own)| (key.clone(), held(own))).collect();
    }

    async fn say(&self, event: Event) {
        // Without a worker there is nobody to tell; the keeper ends with it.
        let _ = self.tell.send(event).await;
    }

    async fn obey(&mut self, command: Command) {
        let done = match command {
            Command::Ensure(leases) => self.create(&leases).await,
            Command::Release(key) => self.release(&key).await,
            Command::Ended(key, children) => self.ended(&key, &children).await,
            Command::Enough | Command::Stop(_) => Ok(()),
        };
        if let Err(failed) = done {
            tracing::warn!("the lease table cannot be written: {failed}; what is missing is made up for later");
        }
    }

    async fn create(&self, leases: &[Lease]) -> Result<()> {
        for lease in leases {
            if !self.sight.knows(&lease.key) {
                self.table.create(lease).await?;
            }
        }
        Ok(())
    }

    /// Renews everything that is held. What cannot be renewed in time is lost.
    async fn renew(&mut self) {
        self.held.retain(|_, own| !own.is_over);
        let patience = (STILL_DURATIONS * self.options.duration).max(STILL);
        let limit = self.options.duration / 3;
        let table = &self.table;
        let (clock, now) = (&self.clock, self.clock.elapsed());
        let writes = self.held.iter_mut().map(|(key, own)| async move {
            if own.permit.still() > patience {
                tracing::warn!(key, "nothing happens under this lease: it is not renewed");
                return (key.clone(), None);
            }
            let begun = clock.elapsed();
            let written = clock::timeout(limit, write(&**table, own, Change::default())).await;
            (key.clone(), written.map(|written| (begun, written)))
        });
        let mut lost: Vec<String> = Vec::new();
        for (key, written) in join_all(writes).await {
            match written {
                Some((begun, Ok(Some(lease)))) => self.renewed(&key, lease, begun).await,
                Some((_, Ok(None))) => lost.push(key),
                Some((_, Err(failed))) => tracing::warn!(key, "the lease is not renewed: {failed}"),
                None => {}
            }
        }
        let late = |own: &Own| now.saturating_sub(own.renewed) > self.options.duration;
        lost.extend(self.held.iter().filter(|(_, own)| late(own)).map(|(key, _)| key.clone()));
        for key in lost {
            self.lose(&key).await;
        }
    }

    async fn renewed(&mut self, key: &str, lease: Lease, begun: Duration) {
        let Some(own) = self.held.get_mut(key) else { return };
        own.renewed = begun;
        own.permit.extend(begun + permitted(self.options.duration));
        let is_wanted = lease.handed_off_by.as_deref() == Some(&self.options.worker);
        own.lease = lease;
        if is_wanted && !own.wanted {
            own.wanted = true;
            self.say(Event::Wanted(key.to_owned())).await;
        }
    }

    async fn lose(&mut self, key: &str) {
        if let Some(own) = self.held.remove(key) {
            if own.permit.still() > STILL.min(STILL_DURATIONS * self.options.duration) {
                self.shunned.insert(key.to_owned(), self.clock.elapsed() + SHUN * self.options.duration);
            }
            own.permit.end();
            self.say(Event::Lost(key.to_owned())).await;
        }
    }

    /// Looks at the whole table: takes what is free, asks for what is too much elsewhere, removes what is over.
    async fn look(&mut self) -> Result<()> {
        // What was silent until it was asked is silent; what is new may have come until it was answered, however long that took.
        let now = self.clock.elapsed();
        let leases = self.table.list().await?;
        self.sight.see(&leases, self.clock.elapsed());
        *lock(&self.known) = leases.iter().map(|lease| lease.key.clone()).collect();
        let me = self.options.worker.clone();
        self.shunned.retain(|_, until| *until > now);
        let leases: Vec<Lease> = leases.into_iter().filter(|lease| !self.shunned.contains_key(&lease.key)).collect();
        for lease in &leases {
            let is_ours = lease.owner.as_deref() == Some(&me) && lease.handed_off_by.is_none();
            if is_ours && !self.held.contains_key(&lease.key) && lease.checkpoint != Checkpoint::ShardEnd {
                // handed over to us, or taken by a write whose answer was lost; a renewal proves that it still is
                self.take(lease, "it was handed over", Duration::ZERO).await?;
            }
        }
        self.force(&leases, now).await?;
        let mine: BTreeSet<String> = self.held.keys().cloned().collect();
        let dice = |bound: usize| (random::bits() % bound.max(1) as u64) as usize;
        let Plan { take, ask } = self.sight.plan(&leases, &me, &mine, now, self.options.duration, dice);
        for lease in take {
            let why = if lease.runner().is_none() { "nobody had it" } else { "its owner was silent" };
            self.take(&lease, why, Duration::ZERO).await?;
        }
        for lease in ask {
            self.ask(&lease, now).await?;
        }
        if self.may_clean { self.clean(&leases).await } else { Ok(()) }
    }

    /// What was taken by force is told when nobody else can have a permit any more.
    async fn grant_waiting(&mut self) {
        let now = self.clock.elapsed();
        for (at, grant) in std::mem::take(&mut self.waiting) {
            let is_held = self.held.get(&grant.lease.key).is_some_and(|own| own.lease.counter >= grant.lease.counter);
            grant.permit.pulse();
            if is_held && at > now {
                self.waiting.push((at, grant));
            } else if is_held {
                self.say(Event::Gained(grant)).await;
            }
        }
    }

    /// Makes a row ours; the worker is told after `wait`.
    async fn take(&mut self, lease: &Lease, why: &'static str, wait: Duration) -> Result<()> {
        let begun = self.clock.elapsed();
        let me = self.options.worker.clone();
        let is_new = lease.owner.as_deref() != Some(&me);
        let change = Change {
            counter_up: true,
            owner: Some(Some(me)),
            handed_off_by: Some(None),
            owner_switches: (is_new && lease.owner.is_some()).then_some(Switches::Add),
            ..Change::default()
        };
        if let Updated::Done(lease) = self.table.update(&lease.key, &Expect::Counter(lease.counter), &change).await? {
            self.asked.remove(&lease.key);
            let what = format!("`{}`", lease.key);
            let permit = Permit::until(what, self.clock.clone(), begun + permitted(self.options.duration));
            let grant = Grant { lease, permit, progress: Progress::default() };
            let own = Own {
                lease: grant.lease.clone(),
                permit: grant.permit.clone(),
                renewed: begun,
                since: begun,
                why,
                wanted: false,
                is_over: false,
                progress: grant.progress.clone(),
                untold: None,
            };
            self.held.insert(grant.lease.key.clone(), own);
            if wait.is_zero() {
                self.say(Event::Gained(grant)).await;
            } else {
                self.waiting.push((self.clock.elapsed() + wait, grant));
            }
        }
        Ok(())
    }

    /// Asks another worker to hand its lease over: it stays the owner until it has committed.
    async fn ask(&mut self, lease: &Lease, now: Duration) -> Result<()> {
        let expect = Expect::Owned { owner: lease.owner.clone(), handed_off_by: None };
        let change = Change {
            owner: Some(Some(self.options.worker.clone())),
            handed_off_by: Some(lease.owner.clone()),
            ..Change::default()
        };
        if let Updated::Done(_) = self.table.update(&lease.key, &expect, &change).await? {
            self.asked.insert(lease.key.clone(), now);
        }
        Ok(())
    }

    /// Takes what was asked for long ago.
    async fn force(&mut self, leases: &[Lease], now: Duration) -> Result<()> {
        let ours =
            |lease: &&Lease| lease.owner.as_deref() == Some(&self.options.worker) && lease.handed_off_by.is_some();
        let asked: Vec<Lease> = leases.iter().filter(ours).cloned().collect();
        self.asked.retain(|key, _| asked.iter().any(|lease| lease.key == *key));
        for lease in asked {
            let since = *self.asked.entry(lease.key.clone()).or_insert(now);
            if now.saturating_sub(since) > PATIENCE * self.options.duration {
                self.take(&lease, "its owner did not hand it over", self.options.duration).await?;
            }
        }
        Ok(())
    }

    async fn release(&mut self, key: &str) -> Result<()> {
        let Some(own) = self.held.get_mut(key) else { return Ok(()) };
        own.permit.end();
        own.is_over = true;
        let next = if own.lease.handed_off_by.is_some() {
            Change { handed_off_by: Some(None), owner_switches: Some(Switches::Add), ..Change::default() }
        } else {
            Change { owner: Some(None), ..Change::default() }
        };
        let written = write(&*self.table, own, next).await;
        self.held.remove(key);
        written.map(drop)
    }

    async fn ended(&mut self, key: &str, children: &[Lease]) -> Result<()> {
        if !self.held.contains_key(key) {
            return Ok(());
        }
        self.create(children).await?;
        let Some(own) = self.held.get_mut(key) else { return Ok(()) };
        own.permit.end();
        own.is_over = true;
        let epoch = own.progress.take().or(own.untold.take()).map(|(_, epoch)| epoch);
        let change = Change {
            checkpoint: Some(Checkpoint::ShardEnd),
            children: Some(children.iter().map(|child| child.key.clone()).collect()),
            epoch,
            ..Change::default()
        };
        let written = write(&*self.table, own, change).await;
        self.held.remove(key);
        written.map(drop)
    }

    /// Removes the rows of shards that are over: their children have begun, and their parents are gone.
    async fn clean(&self, leases: &[Lease]) -> Result<()> {
        let row = |key: &String| leases.iter().find(|lease| lease.key == *key);
        for lease in leases.iter().filter(|lease| lease.checkpoint == Checkpoint::ShardEnd) {
            let begun = |child: &String| row(child).is_some_and(|child| child.checkpoint.is_begun());
            let over = !lease.children.is_empty() && lease.children.iter().all(begun);
            if over && !lease.parents.iter().any(|parent| row(parent).is_some()) {
                self.table.delete(&lease.key, &Expect::Counter(lease.counter)).await?;
            }
        }
        Ok(())
    }
}

/// For how long a renewal permits: others take the lease a duration after they saw it, and clocks do not run alike.
fn permitted(duration: Duration) -> Duration {
    if planted::is("permit-too-long") { duration * 4 } else { duration * 9 / 10 }
}

/// Writes the row of a lease that is held, with what it has to learn. None where it is another's.
async fn write(table: &dyn LeaseTable, own: &mut Own, change: Change) -> Result<Option<Lease>> {
    own.untold = own.progress.take().or(own.untold);
    let (checkpoint, epoch) = own.untold.unzip();
    let checkpoint = checkpoint.flatten();
    let change = Change {
        counter_up: true,
        owner_switches: change.owner_switches.or(epoch.map(|_| Switches::Reset)),
        checkpoint: change.checkpoint.or(checkpoint),
        epoch: change.epoch.or(epoch),
        ..change
    };
    loop {
        match table.update(&own.lease.key, &Expect::Counter(own.lease.counter), &change).await? {
            Updated::Done(lease) => {
                own.untold = None;
                own.lease = lease.clone();
                return Ok(Some(lease));
            }
            // only we raise the counter while we run it: a write of ours whose answer was lost
            Updated::Refused(Some(row)) if row.runner() == own.lease.runner() && row.counter > own.lease.counter => {
                own.lease = row;
            }
            Updated::Refused(_) => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests;
