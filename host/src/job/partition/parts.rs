//! What a partition is made of, how it runs, and how it ends.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use super::{capsules::Keeping, intake::Input};
use crate::{
    checkpoint::{epoch::Outlet, ledger::Ledger, row::Row},
    clock::Clock,
    job::{flow::Flow, graph::OnError, live::Live},
    lease::Progress,
    permit::Permit,
    state::StateStore,
};

/// How a partition runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// the partition's name
    pub name: String,
    /// it reads the one shard that its first manifest names, and is sealed when that ends
    pub one_shard: bool,
    /// its shard is known to be closed: it has an end, which a bounded run reads too
    pub closed: bool,
    /// an epoch ends after this time
    pub every: Duration,
    /// or after so many bytes of input
    pub bytes: u64,
    /// stop once everything that is there was read
    pub until_caught_up: bool,
    /// go on when too many records are rejected
    pub accept_rejects: bool,
    /// go on where the lease row says, also where that is further than the manifest
    pub adopt_row: bool,
    /// what steps that say so do with a record that they reject; the others make dead letters
    pub on_error: BTreeMap<String, OnError>,
    /// bytes of state that steps may keep in a partition, about, where the job says so
    pub most_state: BTreeMap<String, u64>,
    /// where it is kept what plugins failed over; none: nowhere
    pub capsules: Option<Keeping>,
}

/// What a partition is made of.
pub struct Parts {
    /// sources
    pub inputs: Vec<Input>,
    /// steps
    pub flow: Flow,
    /// sinks
    pub outlets: Vec<Outlet>,
    /// the outlet that takes dead letters
    pub dead_letters: Option<usize>,
    /// where state is
    pub store: Arc<dyn StateStore>,
    /// where it becomes durable
    pub ledger: Arc<dyn Ledger>,
    /// what it runs under
    pub holding: Holding,
    /// time
    pub clock: Arc<dyn Clock>,
    /// figures
    pub live: Arc<Live>,
}

/// What a partition runs under.
#[derive(Clone, Debug)]
pub struct Holding {
    /// until when it may act
    pub permit: Permit,
    /// who is told how far it is
    pub progress: Option<Progress>,
    /// what its lease row says of it
    pub row: Row,
}

impl Holding {
    /// Nobody else can run it.
    pub fn alone() -> Self {
        Self { permit: Permit::unlimited(), progress: None, row: Row::default() }
    }
}

/// Why a partition runs no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// it was told to stop, or a bounded run has read everything
    Finished,
    /// its shard is read to the end, and its last manifest says so
    Sealed,
    /// what it tried was taken back, and its epoch dropped: it begins again from its last commit
    TakenBack,
}
