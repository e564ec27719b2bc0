//! The only door to spawning. A task ends with whoever holds its [`Task`].

use tokio::{runtime::Handle, task::JoinHandle};

/// A running task; dropping it aborts the task, so nothing outlives its owner.
#[derive(Debug)]
pub struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<T> Task<T> {
    /// Waits for the end. A panic of the task goes on here.
    pub async fn join(mut self) -> T {
        match (&mut self.0).await {
            Ok(value) => value,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Runs a future on the shared runtime.
#[expect(clippy::disallowed_methods, reason = "this file is the door to spawning")]
pub fn spawn<F>(runtime: &Handle, future: F) -> Task<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Task(runtime.spawn(future))
}

/// Runs blocking work (files, compiling) off the runtime's own threads.
#[expect(clippy::disallowed_methods, reason = "this file is the door to spawning")]
pub async fn blocking<F, T>(work: F) -> T
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
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
