//! Faults of our own that the simulator must find: what the rules of the commit protocol, of leases and of state forbid, done on purpose.
//!
//! The rule: without the feature `planted` every question here is answered with no, at compile time, and nothing of this is in the
//! program. With it, one fault is chosen by name while the simulator runs.

/// Every planted fault: its name, and what it does.
pub const FAULTS: &[(&str, &str)] = &[
    ("publish-before-commit", "tokens are committed before their manifest is durable"),
    ("tokens-forgotten", "a manifest does not carry older tokens"),
    ("abort-before-claim", "sinks abort before the claim is written"),
    ("child-before-parent", "a shard is claimed before its parents are sealed"),
    ("send-without-permit", "what cannot be taken back is sent without asking the permit"),
    ("fence-ignored", "an owner goes on when another's manifest stands at its number"),
    ("create-assumed", "a create whose answer was lost counts as done"),
    ("sync-skipped", "a commit is not synced"),
    ("position-first", "a position is committed before the effects of its records"),
    ("state-forgotten", "now and then an epoch's changes of state are not committed"),
    ("disorder-ignored", "the watermark runs ahead of the disorder that the job allows"),
    ("ids-by-batch", "ids depend on the place in a batch"),
    ("seal-with-tokens", "a shard is sealed while tokens are not committed"),
    ("child-without-state", "a child begins without its parents' state"),
    ("child-of-one-parent", "a merged child has the state of one parent"),
    ("blocks-removed-early", "blocks are removed as soon as they are merged"),
    ("parents-removed-early", "a parent's blocks are removed when one child has its own"),
    ("mark-by-claim", "a claim says that the worker's store has the state"),
    ("permit-too-long", "a permit outlives its lease"),
    ("lease-taken-early", "a lease is taken while its owner renews it"),
    ("read-from-the-beginning", "a new owner forgets the position"),
    ("failed-commit-forgotten", "a token whose commit failed counts as committed"),
    ("tokens-not-recovered", "a new owner does not commit the tokens of the manifest"),
    ("swap-within-epoch", "a plugin is swapped in the middle of an epoch"),
    ("swap-without-generation", "an epoch after a swap is said to be of the generation before it"),
    ("swap-without-state", "a plugin that is swapped in begins without state"),
    ("swap-forgotten", "a worker that starts runs what the job file says"),
    ("swap-not-looked-at", "a worker does not look at what others have deployed"),
    ("swap-never-taken-back", "a plugin that fails on trial stays"),
    ("swap-unfit", "a plugin is swapped in whatever it reads of what is stored"),
    ("swap-unsettled", "what cannot be read by what ran before is made durable while that may be taken back"),
    ("swap-before-record", "partitions are told of a swap before its record is durable"),
    ("canary-commits", "a partition of a canary commits before the verdict"),
    ("canary-unguarded", "a canary passes whatever its guards say"),
    ("canary-passed-by-one", "a canary has passed when one of its partitions has"),
    ("unknown-parent-ignored", "a parent that nobody has heard of is not looked for"),
];

#[cfg(feature = "planted")]
mod chosen {
    use std::cell::Cell;

    thread_local! {
        static CHOSEN: Cell<Option<&'static str>> = const { Cell::new(None) };
    }

    /// Plants a fault on this thread; none takes it away.
    pub fn plant(name: Option<&'static str>) {
        CHOSEN.set(name);
    }

    /// Whether this fault is planted.
    pub fn is(name: &str) -> bool {
        debug_assert!(super::FAULTS.iter().any(|(known, _)| *known == name), "{name} is not in the list of faults");
        CHOSEN.get() == Some(name)
    }
}

#[cfg(feature = "planted")]
pub use chosen::{is, plant};

/// Whether this fault is planted: never.
#[cfg(not(feature = "planted"))]
pub const fn is(_: &str) -> bool {
    false
}
