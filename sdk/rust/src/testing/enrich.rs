//! Native runs of enrichers: rows as JSON lines, and a function in the place of whoever is asked.
//!
//! The rule: as for other worlds, calls of all rows and of one row must give the same. Left to others: batches (`batch`), lines (`results`).

use super::{Lines, agree, batch, context, failed, results};
use crate::bindings::enrich_types::{self, Header, Response};
use crate::config;
use crate::worlds::enrich::{Enricher, Outcome, Request, RunsEnricher, TypedEnricher};
use serde_json::Value;

/// A plugin that asks without end is ended after so many rounds.
const MOST_ROUNDS: usize = 16;

/// Runs an `Enricher` over JSON lines; `answer` says what comes of a request.
pub fn enricher<T: Enricher>(config: &str, rows: &str, answer: impl Fn(&Request) -> Outcome) -> Lines {
    let rows = batch::parse(rows)?;
    let start = || TypedEnricher::<T>::start(config::parse(config)?, &context(config));
    let mut whole = start()?;
    let together = run(&mut whole, config, &rows, 0, &answer)?;
    let (mut reused, mut fresh) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        let row = std::slice::from_ref(row);
        reused.extend(run(&mut whole, config, row, index, &answer)?);
        fresh.extend(run(&mut start()?, config, row, index, &answer)?);
    }
    agree("one instance, a call for each record", &together, &reused)?;
    agree("a fresh instance for each record", &together, &fresh)?;
    Ok(together)
}

fn run<P: RunsEnricher>(
    plugin: &mut P,
    config: &str,
    rows: &[Value],
    first: usize,
    answer: &impl Fn(&Request) -> Outcome,
) -> Lines {
    let manifest = P::describe(&config::parse(config)?)?;
    let input = manifest.inputs.first().ok_or("the manifest has no input")?;
    // Rows of a round, as places among all.
    let mut round: Vec<usize> = (0..rows.len()).collect();
    let mut asked = plugin.prepare(&batch::build(input, rows, first)?).map_err(failed)?;
    let mut lines: Vec<(usize, String)> = Vec::new();
    for _ in 0..MOST_ROUNDS {
        let these: Vec<Value> = round.iter().map(|row| rows[*row].clone()).collect();
        let responses: Vec<Response> = asked.into_iter().map(|request| answered(request, answer)).collect();
        let completed = plugin.complete(&batch::build(input, &these, first)?, &responses).map_err(failed)?;
        lines.extend(results::placed(&manifest, &completed.processed, |row| round[row as usize] + first)?);
        asked = completed.further;
        if asked.is_empty() {
            lines.sort_by_key(|(row, _)| *row);
            return Ok(lines.into_iter().map(|(_, line)| line).collect());
        }
        let mut again: Vec<u32> = asked.iter().map(|request| request.row).collect();
        again.sort_unstable();
        again.dedup();
        for request in &mut asked {
            request.row = again.partition_point(|row| *row < request.row) as u32;
        }
        round = again.iter().map(|row| round[*row as usize]).collect();
    }
    Err(format!("the plugin asks again after {MOST_ROUNDS} rounds"))
}

fn answered(request: enrich_types::Request, answer: &impl Fn(&Request) -> Outcome) -> Response {
    let enrich_types::Request { row, cookie, connector, method, path, headers, body } = request;
    let headers = headers.into_iter().map(|header| (header.name, header.value)).collect();
    let outcome = match answer(&Request { connector, method, path, headers, body }) {
        Outcome::Answered { status, headers, body } => {
            let headers = headers.into_iter().map(|(name, value)| Header { name, value }).collect();
            enrich_types::Outcome::Answered(enrich_types::Answer { status, headers, body })
        }
        Outcome::Failed(why) => enrich_types::Outcome::Failed(why),
        Outcome::TimedOut => enrich_types::Outcome::TimedOut,
    };
    Response { row, cookie, outcome }
}
