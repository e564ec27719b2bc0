//! The only door to spawning. A task ends with whoever holds its [`Task`].

use std::{cell::RefCell, pin::Pin, rc::Rc};

use futures::future::{AbortHandle, abortable};
use tokio::{runtime::Handle, sync::oneshot, task::JoinHandle};

/// A running task; dropping it aborts the task, so nothing outlives its owner.
#[derive(Debug)]
pub struct Task<T>(Running<T>);

#[derive(Debug)]
enum Running<T> {
    Runtime(JoinHandle<T>),
    Hosted { abort: AbortHandle, end: oneshot::Receiver<T> },
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        match &self.0 {
            Running::Runtime(task) => task.abort(),
            Running::Hosted { abort, .. } => abort.abort(),
        }
    }
}

impl<T> Task<T> {
    /// Waits for the end. A panic of the task goes on here.
    pub async fn join(mut self) -> T {
        match &mut self.0 {
            Running::Runtime(task) => match task.await {
                Ok(value) => value,
                Err(failed) => match failed.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    Err(_) => std::future::pending().await,
                },
            },
            Running::Hosted { end, .. } => match end.await {
                Ok(value) => value,
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Who runs the tasks of a simulated process, so that they stop and die with it.
pub type Host = Rc<dyn Fn(Pin<Box<dyn Future<Output = ()> + Send>>)>;

thread_local! {
    static HOST: RefCell<Option<Host>> = const { RefCell::new(None) };
}

/// What is spawned on this thread from now on goes to this host; none: to the runtime. Gives back the one before.
pub fn host(host: Option<Host>) -> Option<Host> {
    HOST.replace(host)
}

fn hosted() -> Option<Host> {
    HOST.with_borrow(Clone::clone)
}

/// Runs a future on the shared runtime.
#[expect(clippy::disallowed_methods, reason = "this file is the door to spawning")]
pub fn spawn<F>(runtime: &Handle, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let Some(host) = hosted() else { return Task(Running::Runtime(runtime.spawn(future))) };
    let (say, end) = oneshot::channel();
    let (task, abort) = abortable(async move {
        // Whoever waited may be gone.
        let _ = say.send(future.await);
    });
    host(Box::pin(async move {
        let _ = task.await;
    }));
    Task(Running::Hosted { abort, end })
}

/// Runs blocking work (files, compiling) off the runtime's own threads.
#[expect(clippy::disallowed_methods, reason = "this file is the door to spawning")]
pub async fn blocking<F, T>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    if hosted().is_some() {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

/// A thread with a name, for work that blocks for as long as its owner lives. It must end when its channel closes.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// Runs work that recurses deeply (parsing, planning) on a thread with a stack of its own, and waits for it.
pub fn with_deep_stack<T: Send>(work: impl FnOnce() -> T + Send) -> std::io::Result<T> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().name("deep".to_owned()).stack_size(64 << 20).spawn_scoped(scope, work)?;
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    })
}
