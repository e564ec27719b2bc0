//! The commit protocol: what is durable, and in which order. Only this folder decides that progress is durable.
//!
//! 0. **Claim.** An owner's first act is to read the job record, then to write the next manifest: same content, fence + 1, a nonce of
//!    its own. Only then may it commit a token, abort, read, or deliver. Where a shard starts that no manifest names stands in the
//!    first job record, made before any claim: the time, and the shards that existed; a shard that is not in that list starts at its
//!    beginning.
//! 1. **End.** An epoch ends by time, bytes or request. Readers stop handing out records and their positions are noted.
//! 2. **Drain.** Everything handed out before flows through every step; nothing of the next epoch overtakes it.
//! 3. **Prepare.** Each sink has delivered everything, or has staged it durably and returned a token. Rows that a sink holds back
//!    are state.
//! 4. **Commit.** One manifest makes the epoch durable: state, watermarks, positions, tokens, generation, fence. It carries every token
//!    not yet known to be committed, of all earlier epochs too. Epoch n+1 may run while n is being made durable, but is durable only
//!    after n; if n fails, everything after it is thrown away. At most [`MOST_UNCOMMITTED`] epochs may have uncommitted tokens.
//! 5. **Publish.** Then, and only then, tokens are committed, again until it succeeds; a token leaves only in a manifest written after
//!    its commit.
//! 6. **Recover.** Claim; commit the tokens of the manifest; abort what was staged beyond it; read on from its positions. A store that
//!    is behind what a sink's own record says was committed stops the job with words.
//!
//! 7. **Set back.** A savepoint is a copy of newest manifests with everything that they name; each partition is at an epoch of its own.
//!    Restoring it writes one more manifest for each partition: the savepoint's content, but a number, a fence and an epoch above all
//!    that were ever used, whoever remembers them (manifests, sinks, lease rows). So nobody who comes back from before can commit, no name of
//!    a file is used twice, and nothing is behind what it has committed. Its line of owners is empty: no worker's copy is an ancestor. It says
//!    from which epoch to which it was set back: sinks throw away what they staged in between; what they showed comes again. A
//!    partition that the savepoint does not know was begun after it: it is set aside, and begins anew from the seals of its parents, which
//!    were set back too (a sealed manifest is followed by one that is open again: only here). While any of this is under way,
//!    a mark in the store keeps every worker from beginning; after a crash it is done again from the start.
//!
//! **Reshard.** The partition of a shard ends with a sealed manifest; nothing may follow it. It is sealed only when nothing is left to
//! finish. A child is claimed only after the seals of all its parents, and begins with what `reshard` makes of them.
//!
//! **Where.** Alone, manifests and job records are rows of the worker's store, written in one synced batch with the state. In a fleet they are
//! numbered objects that every worker reaches, made only if absent; state lies beside them in blocks, and the worker's store is a copy.
//!
//! Tests cite the numbers. What a manifest holds is in `manifest`; what a lease row says against it, `row`; where it is made durable, `ledger`; who writes the worker's store,
//! `committer`; the order of a partition's life, `epoch`; blocks of remote state, `chain` and `upkeep`; what people look at, `look` and
//! `verify`; copies, `savepoint`.

pub mod chain;
pub mod committer;
pub mod epoch;
pub mod kill;
pub mod ledger;
pub mod look;
pub mod manifest;
pub mod reshard;
pub mod row;
pub mod savepoint;
pub mod upkeep;
pub mod verify;

/// Rule 4: so many epochs may have tokens that are not committed; then the partition waits.
pub const MOST_UNCOMMITTED: usize = 4;
