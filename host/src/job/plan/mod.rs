//! What it takes to make a running job what its file says now.
//!
//! The rule: everything that differs is named, by node and by setting, and each difference has exactly one way: a swap while the job runs, a
//! restart that accepts the change, or a new beginning.
//! Left to others: whether a plugin fits in place of another (`swap::fit`), doing it (`cli`, `control`).

use std::{collections::BTreeMap, fmt};

use serde::Serialize;
use serde_json::Value as Json;

/// How a change is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Way {
    /// the step's plugin is replaced while the job runs
    Swap,
    /// the job is stopped and run again, with `--accept-change`
    Restart,
    /// its state lies elsewhere: `--fresh`
    Fresh,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Swap => "swap",
            Self::Restart => "restart",
            Self::Fresh => "fresh",
        })
    }
}

/// A node, or the job itself, that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Change {
    /// the node's name; `the job` for what stands above them
    pub node: String,
    /// how it is made
    pub way: Way,
    /// each difference in words
    pub what: Vec<String>,
}

/// The longest value that is shown.
const LONGEST: usize = 60;

/// What differs between two jobs in canonical form. `running` has the digests of the plugins that run, by step.
pub fn between(old: &Json, running: &BTreeMap<String, String>, new: &Json) -> Vec<Change> {
    let mut changes = Vec::new();
    let mut what = Vec::new();
    let without_nodes = |job: &Json| {
        let mut job = job.clone();
        if let Some(fields) = job.as_object_mut() {
            fields.remove("nodes");
            fields.remove("partitioning");
        }
        job
    };
    differences("", &without_nodes(old), &without_nodes(new), &mut what);
    if !what.is_empty() {
        changes.push(Change { node: "the job".into(), way: Way::Restart, what: std::mem::take(&mut what) });
    }
    let what = cut(&old["partitioning"], &new["partitioning"]);
    if !what.is_empty() {
        changes.push(Change { node: "the job".into(), way: Way::Fresh, what });
    }
    let (old, new) = (nodes(old), nodes(new));
    for (name, node) in &new {
        match old.get(name) {
            None => {
                changes.push(Change { node: (*name).to_owned(), way: Way::Restart, what: vec!["it is new".into()] })
            }
            Some(before) => changes.extend(node_change(name, before, running.get(*name), node)),
        }
    }
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        let what = vec!["it is gone, and so is what it keeps".into()];
        changes.push(Change { node: (*name).to_owned(), way: Way::Restart, what });
    }
    changes
}

/// What lies elsewhere: all state where the job is cut in another way, else that of a step whose rows go by another field.
fn cut(old: &Json, new: &Json) -> Vec<String> {
    let way = |job: &Json| match job {
        Json::Object(fields) => fields.keys().next().cloned().unwrap_or_default(),
        other => shown(other),
    };
    if way(old) != way(new) {
        return vec![format!("it is cut into partitions in another way: {} -> {}", way(old), way(new))];
    }
    let hashed = |job: &Json| job[way(job).as_str()]["hashed_by"].as_object().cloned().unwrap_or_default();
    let (before, now) = (hashed(old), hashed(new));
    let moved =
        before.iter().filter_map(|(step, field)| Some((step, field, now.get(step).filter(|now| *now != field)?)));
    moved
        .map(|(step, was, is)| format!("the state of step `{step}` lies by {}, not {}", shown(is), shown(was)))
        .collect()
}

/// Nodes by name, without what is said of where the nodes stand in the list.
fn nodes(job: &Json) -> BTreeMap<&str, Json> {
    let all = job["nodes"].as_array().map_or(&[][..], Vec::as_slice);
    let name = |index: &Json| index.as_u64().and_then(|at| all.get(at as usize)?["name"].as_str()).unwrap_or_default();
    let named = |node: &Json| {
        let mut node = node.clone();
        let edges = node["inputs"].as_array_mut().into_iter().flatten();
        edges.for_each(|edge| edge["node"] = Json::from(name(&edge["node"])));
        node
    };
    all.iter().filter_map(|node| Some((node["name"].as_str()?, named(node)))).collect()
}

fn node_change(name: &str, old: &Json, runs: Option<&String>, new: &Json) -> Option<Change> {
    let (mut old, mut new) = (old.clone(), new.clone());
    let (_, digest) = (take_interface(&mut old), take_interface(&mut new));
    let mut what = Vec::new();
    differences("", &old, &new, &mut what);
    let plugin = match (runs, &digest) {
        (Some(runs), Some(new)) if runs != new => Some(format!("plugin: {} -> {}", short(runs), short(new))),
        _ => None,
    };
    match (what.is_empty(), plugin) {
        (true, None) => None,
        (true, Some(plugin)) => Some(Change { node: name.to_owned(), way: Way::Swap, what: vec![plugin] }),
        (false, plugin) => {
            what.extend(plugin);
            Some(Change { node: name.to_owned(), way: Way::Restart, what })
        }
    }
}

/// Takes out what a plugin says of itself, and its path: what runs goes by its digest, which is given back.
fn take_interface(node: &mut Json) -> Option<String> {
    match node {
        Json::Object(fields) => {
            if let Some(interface) = fields.remove("interface") {
                fields.remove("path");
                return interface["digest"].as_str().map(str::to_owned);
            }
            fields.values_mut().find_map(take_interface)
        }
        Json::Array(values) => values.iter_mut().find_map(take_interface),
        _ => None,
    }
}

fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

/// Every leaf that differs, with its path.
fn differences(path: &str, old: &Json, new: &Json, to: &mut Vec<String>) {
    if old == new {
        return;
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    match (old, new) {
        (Json::Object(a), Json::Object(b)) => {
            let names: std::collections::BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let (a, b) = (a.get(name).unwrap_or(&Json::Null), b.get(name).unwrap_or(&Json::Null));
                differences(&below(name), a, b, to);
            }
        }
        _ => to.push(format!("{path}: {} -> {}", shown(old), shown(new))),
    }
}

fn shown(value: &Json) -> String {
    let text = match value {
        Json::Null => "none".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= LONGEST { text } else { text.chars().take(LONGEST).chain("...".chars()).collect() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(nodes: Json) -> Json {
        json!({ "job": "j", "epoch": 5, "partitioning": { "one": {} }, "nodes": nodes })
    }

    fn step(name: &str, digest: &str, config: &Json) -> Json {
        let plugin = json!({ "path": digest, "config": config, "interface": { "digest": digest, "version": digest } });
        json!({ "name": name, "inputs": [{ "node": 0, "output": 0 }], "kind": { "transform": plugin } })
    }

    fn between_with(running: &str, old: &Json, new: &Json) -> Vec<(String, Way, String)> {
        let running = BTreeMap::from([("s".to_owned(), running.to_owned())]);
        let all = between(old, &running, new).into_iter();
        all.map(|change| (change.node, change.way, change.what.join("; "))).collect()
    }

    #[test]
    fn a_plugin_alone_is_a_swap_and_counts_against_what_runs() {
        let source = json!({ "name": "in", "inputs": [], "kind": {} });
        let old = job(json!([source, step("s", "a", &json!({}))]));
        let new = job(json!([source, step("s", "b", &json!({}))]));
        assert_eq!(between_with("a", &old, &old), []);
        assert_eq!(between_with("a", &old, &new), [("s".into(), Way::Swap, "plugin: a -> b".into())]);
        // it was swapped in already; and the file still names the old one
        assert_eq!(between_with("b", &old, &new), []);
        assert_eq!(between_with("b", &old, &old), [("s".into(), Way::Swap, "plugin: b -> a".into())]);
        let config = job(json!([source, step("s", "b", &json!({"n": 1}))]));
        let said = "kind.transform.config.n: none -> 1; plugin: a -> b";
        assert_eq!(between_with("a", &old, &config), [("s".into(), Way::Restart, said.into())]);
    }

    #[test]
    fn everything_else_is_named() {
        let source = |path: &str| json!({ "name": "in", "inputs": [], "kind": { "file": path } });
        let old = job(json!([source("a"), step("s", "a", &json!({}))]));
        let mut new =
            job(json!([{ "name": "other", "inputs": [], "kind": {} }, source("b"), step("s", "a", &json!({}))]));
        new["nodes"][2]["inputs"][0]["node"] = json!(1);
        new["epoch"] = json!(6);
        new["partitioning"] = json!({ "per_shard": {} });
        let said = between_with("a", &old, &new);
        assert_eq!(
            said.iter().map(|(node, way, _)| (node.as_str(), *way)).collect::<Vec<_>>(),
            [("the job", Way::Restart), ("the job", Way::Fresh), ("in", Way::Restart), ("other", Way::Restart)]
        );
        assert_eq!(said[2].2, "kind.file: a -> b");
        let mut reworded = old.clone();
        reworded["partitioning"] = json!({ "one": { "reason": "other words" } });
        assert_eq!(between_with("a", &old, &reworded), []);
        let by = |field: &str, more: &str| {
            let mut job = old.clone();
            job["partitioning"] = json!({ "per_shard": { "reason": "r", "hashed_by": { "s": field, more: "x" } } });
            job
        };
        assert_eq!(between_with("a", &by("k", "s2"), &by("k", "s3")), [], "a step that is new has no state yet");
        assert_eq!(between_with("a", &by("k", "s2"), &by("l", "s2"))[0].1, Way::Fresh);
        let gone = between_with("a", &new, &old);
        assert!(gone.iter().any(|(node, _, what)| node == "other" && what.starts_with("it is gone")), "{gone:?}");
    }
}
