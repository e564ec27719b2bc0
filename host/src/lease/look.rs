//! A lease table for people who look: which rows are renewed, told by two looks.
//!
//! The rule: a worker is alive if a row that it runs was written between two looks that are a lease duration apart, for it renews three
//! times in that time; a clock of another machine is never asked. Nothing is changed here.

use std::time::Duration;

use super::{Lease, LeaseTable};
use crate::{clock, error::Result};

/// A row, and whether somebody renewed it while it was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// the row, as it was last seen
    pub lease: Lease,
    /// it was written meanwhile; not known where there was one look
    pub is_renewed: Option<bool>,
}

impl Seen {
    /// Whether somebody who is alive runs what is leased.
    pub fn is_live(&self) -> bool {
        self.is_renewed == Some(true) && self.lease.runner().is_some()
    }
}

/// Every row, looked at once, or twice with so much time between.
pub async fn look(table: &dyn LeaseTable, between: Option<Duration>) -> Result<Vec<Seen>> {
    let first = table.list().await?;
    let Some(between) = between else {
        return Ok(first.into_iter().map(|lease| Seen { lease, is_renewed: None }).collect());
    };
    clock::sleep(between).await;
    let second = table.list().await?;
    let seen = |lease: Lease| {
        let before = first.iter().find(|before| before.key == lease.key);
        let is_renewed = before.is_none_or(|before| before.counter != lease.counter);
        Seen { lease, is_renewed: Some(is_renewed) }
    };
    Ok(second.into_iter().map(seen).collect())
}
