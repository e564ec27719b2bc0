//! A file that remembers a campaign: a line for each run, so that a later one goes on where it ended.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::Path,
};

use super::run::Outcome;

/// An open ledger.
pub struct Ledger {
    file: File,
    next: Option<u64>,
}

impl Ledger {
    /// Reads what was run before.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let before = std::fs::read_to_string(path).unwrap_or_default();
        let seeds = before.lines().filter_map(|line| line.split(' ').next()?.parse::<u64>().ok());
        let next = seeds.max().map(|last| last + 1);
        Ok(Self { file: OpenOptions::new().create(true).append(true).open(path)?, next })
    }

    /// The seed to go on with; none in a new ledger.
    pub fn next(&self) -> Option<u64> {
        self.next
    }

    /// A run has ended: seed, commit, hash, verdict, faults that fired.
    pub fn add(&mut self, seed: u64, commit: &str, outcome: &Outcome) -> anyhow::Result<()> {
        let verdict = if outcome.broken.is_empty() { "held" } else { "BROKEN" };
        let fired: Vec<String> = outcome.fired.iter().map(|(kind, times)| format!("{kind}={times}")).collect();
        writeln!(self.file, "{seed} {commit} {:016x} {verdict} {}", outcome.hash, fired.join(","))?;
        Ok(())
    }
}
