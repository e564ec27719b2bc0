//! Named places at which a test kills the process, one before and after each durable write of rules 0 to 6.
//!
//! `PELTON_KILL_AT=NAME:N` kills at the Nth time the place is passed (1 is the first). Without it a place costs one relaxed load.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

/// Every place that each partition passes, in the order in which an epoch passes them.
pub const POINTS: &[&str] = &[
    "before-job-record",
    "after-job-record",
    "before-claim",
    "after-claim",
    "recovered-token",
    "recovered",
    "before-prepare",
    "after-prepare",
    "before-commit",
    "after-commit",
    "before-publish",
    "between-tokens",
    "after-publish",
];

/// Places that only the partition of a shard passes, when its shard ends.
pub const SEAL_POINTS: &[&str] = &["before-seal", "after-seal"];

/// Places that only a partition whose state is in a remote store passes.
pub const REMOTE_POINTS: &[&str] = &["after-block", "before-manifest", "after-manifest"];

/// Places that are passed when a plugin is swapped: before it is loaded and compiled, before it is checked against what runs, around the
/// record of the new generation, and around the change of a partition.
pub const SWAP_POINTS: &[&str] =
    &["before-swap-load", "before-swap-check", "before-swap", "after-swap", "before-swap-in", "after-swap-in"];

struct Armed {
    name: String,
    left: AtomicU64,
}

fn armed() -> Option<&'static Armed> {
    static ARMED: OnceLock<Option<Armed>> = OnceLock::new();
    ARMED
        .get_or_init(|| {
            let text = std::env::var("PELTON_KILL_AT").ok()?;
            let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
            Some(Armed { name: name.to_owned(), left: AtomicU64::new(count.parse().unwrap_or(1)) })
        })
        .as_ref()
}

type Watch = Rc<dyn Fn(&'static str)>;

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

/// The simulator looks on: it is told of every place that this thread passes.
pub fn watch(watch: Option<Watch>) {
    WATCH.set(watch);
}

/// Passes a place; the process ends here at once, as with SIGKILL, if a test has armed it.
pub fn point(name: &'static str) {
    debug_assert!(
        [POINTS, SEAL_POINTS, REMOTE_POINTS, SWAP_POINTS].iter().any(|list| list.contains(&name)),
        "{name} is not in the list of kill points"
    );
    if let Some(watch) = WATCH.with_borrow(Clone::clone) {
        watch(name);
    }
    if let Some(armed) = armed()
        && armed.name == name
        && armed.left.fetch_sub(1, Ordering::SeqCst) == 1
    {
        eprintln!("killed at {name}");
        let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        std::process::abort();
    }
}
