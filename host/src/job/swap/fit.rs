//! Whether a plugin may take the place of another while the job runs.
//!
//! The rule: what stands around the step was checked against the old plugin and is not checked again, so the new one must want and make the
//! same; and every value that may be stored by any version so far must be one that it reads or migrates. Every difference is named.
//! Left to others: loading (`store`), migrating (`transform::tables`).

use std::collections::BTreeSet;

use crate::{
    error::{Error, Kind, Result},
    planted,
    plugin::{Capability, Field, Manifest, Output, Table, World},
};

/// What is wrong with the new plugin in place of the old; nothing where it fits.
pub fn differences(old: (World, &Manifest), new: (World, &Manifest)) -> Vec<String> {
    let ((old_world, old), (new_world, new)) = (old, new);
    let mut wrong = Vec::new();
    if old_world != new_world {
        wrong.push(format!("it is of the world {new_world}, and what runs is of {old_world}"));
        return wrong;
    }
    let mut names = |what: &str, old: Vec<&str>, new: Vec<&str>| {
        let same = old == new;
        if !same {
            wrong.push(format!("its {what} are {}, and those of what runs are {}", listed(&new), listed(&old)));
        }
        same
    };
    if names("inputs", old.inputs.iter().map(|i| &*i.name).collect(), new.inputs.iter().map(|i| &*i.name).collect()) {
        for (old, new) in old.inputs.iter().zip(&new.inputs) {
            wrong.extend(fields(&format!("input `{}`", new.name), &old.fields, &new.fields));
            if old.identity != new.identity {
                wrong.push(format!("input `{}` wants other columns beside the fields", new.name));
            }
        }
    }
    wrong.extend(outputs(&old.outputs, &new.outputs));
    wrong.extend(fields("its key", &old.key, &new.key));
    wrong.extend(tables(old_world, &old.tables, &new.tables));
    wrong
}

/// Connectors that the new plugin asks and the job does not name. What the old one asked plays no part: addresses are the job's.
pub fn unnamed<'a>(new: &Manifest, named: impl Iterator<Item = &'a str>) -> Vec<String> {
    let named: Vec<&str> = named.collect();
    let missing = new.connectors.iter().map(|connector| &*connector.name).filter(|name| !named.contains(name));
    missing.map(|name| format!("it asks the connector `{name}`, and the job names {}", listed(&named))).collect()
}

/// Refuses the new plugin for what is wrong with it in place of the old.
pub fn refuse_unfit(step: &str, old: &Manifest, new: &Manifest, wrong: &[String]) -> Result<()> {
    if wrong.is_empty() || planted::is("swap-unfit") {
        return Ok(());
    }
    let words = format!(
        "the plugin `{}` does not fit in place of `{}` at step `{step}` while the job runs: {}. Stop the job, and run it with the new \
         plugin in its job file",
        new.name,
        old.name,
        wrong.join("; ")
    );
    Err(Error::new(Kind::Config, words))
}

/// What a plugin uses beyond what it may is refused until somebody allows it.
pub fn refuse_beyond(step: &str, plugin: &str, beyond: &[Capability], allow: &BTreeSet<Capability>) -> Result<()> {
    let refused: Vec<String> =
        beyond.iter().filter(|capability| !allow.contains(capability)).map(ToString::to_string).collect();
    if refused.is_empty() {
        return Ok(());
    }
    let words = format!(
        "the plugin `{plugin}` uses {}, which what runs at step `{step}` may not: if that is meant, give --allow {}, and name it in the \
         step's `allow:`",
        refused.join(", "),
        refused.join(" --allow ")
    );
    Err(Error::new(Kind::Config, words))
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn outputs(old: &[Output], new: &[Output]) -> Vec<String> {
    let names = |outputs: &[Output]| outputs.iter().map(|output| output.name.clone()).collect::<Vec<_>>().join(", ");
    if names(old) != names(new) {
        return vec![format!("its outputs are {}, and those of what runs are {}", names(new), names(old))];
    }
    let differs = |(old, new): (&Output, &Output)| {
        let mut wrong = fields(&format!("output `{}`", new.name), &old.fields, &new.fields);
        if old.sets != new.sets {
            wrong.push(format!("output `{}` sets other columns beside the fields", new.name));
        }
        wrong
    };
    old.iter().zip(new).flat_map(differs).collect()
}

/// Fields of one place, by name: order matters, because columns have it.
fn fields(place: &str, old: &[Field], new: &[Field]) -> Vec<String> {
    let shown = |field: &Field| {
        let kind = format!("{:?}", field.kind).to_lowercase();
        format!("`{}` {kind}{}", field.path, if field.optional { "?" } else { "" })
    };
    let same = |a: &Field, b: &Field| a.path == b.path && a.kind == b.kind && a.optional == b.optional;
    let mut wrong = Vec::new();
    for field in new.iter().filter(|field| !old.iter().any(|other| other.path == field.path)) {
        wrong.push(format!("{place} has {}, which what runs has not", shown(field)));
    }
    for field in old {
        match new.iter().find(|other| other.path == field.path) {
            None => wrong.push(format!("{place} has no {}", shown(field))),
            Some(other) if !same(field, other) => {
                wrong.push(format!("{place} has {}, and what runs has {}", shown(other), shown(field)));
            }
            Some(_) => {}
        }
    }
    if wrong.is_empty() && old.iter().zip(new).any(|(a, b)| a.path != b.path) {
        wrong.push(format!("{place} has its fields in another order"));
    }
    wrong
}

fn tables(world: World, old: &[Table], new: &[Table]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (place, old) in old.iter().enumerate() {
        let Some(new) = new.get(place).filter(|new| new.name == old.name) else {
            wrong.push(format!("the table `{}` is not number {place} in it: what is stored would be lost", old.name));
            continue;
        };
        // What was never read since an older version wrote it is still of that version.
        let mut stored = old.migrates_from.clone();
        stored.push(old.schema_version);
        stored.retain(|version| *version != new.schema_version && !new.migrates_from.contains(version));
        if !stored.is_empty() {
            let versions: Vec<String> = stored.iter().map(ToString::to_string).collect();
            wrong.push(format!(
                "the table `{}` may hold values of version {}, which it neither reads (it has version {}) nor migrates: add them to \
                 `migrates-from`",
                old.name,
                versions.join(", "),
                new.schema_version
            ));
        } else if world == World::Aggregator && old.schema_version != new.schema_version {
            wrong.push(format!(
                "its accumulators have version {}, and open windows hold version {}: windows are not migrated",
                new.schema_version, old.schema_version
            ));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::plugin::{Connector, FieldKind, Identity, Input};

    fn field(path: &str, kind: FieldKind, optional: bool) -> Field {
        Field { path: Arc::from(path), kind, optional, doc: String::new() }
    }

    fn table(version: u32, migrates_from: &[u32]) -> Table {
        Table {
            name: "seen".into(),
            prefetch: false,
            schema: None,
            schema_version: version,
            migrates_from: migrates_from.to_vec(),
            ttl_ms: None,
        }
    }

    fn plugin(wants: Vec<Field>, tables: Vec<Table>) -> Manifest {
        Manifest {
            name: "p".into(),
            version: "1".into(),
            doc: String::new(),
            config_schema: None,
            inputs: vec![Input { name: "in".into(), identity: Identity::default(), fields: wants, doc: String::new() }],
            outputs: Vec::new(),
            key: Vec::new(),
            tables,
            connectors: Vec::new(),
        }
    }

    #[test]
    fn an_enricher_asks_only_what_the_job_names_whatever_ran_before() {
        let mut new = plugin(Vec::new(), Vec::new());
        new.connectors = ["scores", "prices"].map(|name| Connector { name: name.into(), doc: String::new() }).into();
        assert_eq!(unnamed(&new, ["prices", "scores", "more"].into_iter()), [""; 0]);
        let said = unnamed(&new, ["scores"].into_iter());
        assert_eq!(said, ["it asks the connector `prices`, and the job names scores"]);
        assert_eq!(unnamed(&new, std::iter::empty())[0], "it asks the connector `scores`, and the job names none");
    }

    #[test]
    fn what_a_plugin_uses_beyond_what_it_may_is_allowed_by_name() {
        let connector = Capability::Connector("scores".into());
        let beyond = [Capability::Metrics, connector.clone()];
        assert!(refuse_beyond("s", "p", &[], &BTreeSet::new()).is_ok());
        let refused = refuse_beyond("s", "p", &beyond, &BTreeSet::from([connector])).unwrap_err();
        assert!(
            refused.to_string().contains("uses metrics, which") && refused.to_string().contains("--allow metrics,")
        );
        assert!(refuse_beyond("s", "p", &beyond, &beyond.clone().into()).is_ok());
    }

    fn between(old: &Manifest, new: &Manifest) -> Vec<String> {
        differences((World::StatefulTransformer, old), (World::StatefulTransformer, new))
    }

    #[test]
    fn every_version_that_may_be_stored_must_be_read() {
        let of = |version, from: &[u32]| plugin(Vec::new(), vec![table(version, from)]);
        assert_eq!(between(&of(1, &[]), &of(1, &[])), [""; 0]);
        assert_eq!(between(&of(1, &[]), &of(2, &[1])), [""; 0]);
        assert!(between(&of(1, &[]), &of(2, &[]))[0].contains("values of version 1"));
        // version 1 may never have been read while 2 ran
        assert!(between(&of(2, &[1]), &of(3, &[2]))[0].contains("values of version 1,"));
        assert_eq!(between(&of(2, &[1]), &of(3, &[1, 2])), [""; 0]);
        assert!(between(&of(1, &[]), &plugin(Vec::new(), Vec::new()))[0].contains("`seen` is not number 0"));
        let bigger = plugin(Vec::new(), vec![table(1, &[]), Table { name: "more".into(), ..table(1, &[]) }]);
        assert_eq!(between(&of(1, &[]), &bigger), [""; 0]);
    }

    #[test]
    fn what_stands_around_the_step_must_still_fit() {
        let old = plugin(vec![field("n", FieldKind::Int64, false)], Vec::new());
        let said = |fields: Vec<Field>| between(&old, &plugin(fields, Vec::new())).join("; ");
        assert_eq!(said(vec![field("n", FieldKind::Int64, false)]), "");
        assert_eq!(
            said(vec![field("n", FieldKind::Text, true)]),
            "input `in` has `n` text?, and what runs has `n` int64"
        );
        let both = said(vec![field("m", FieldKind::Int64, false)]);
        assert_eq!(both, "input `in` has `m` int64, which what runs has not; input `in` has no `n` int64");
        let other = differences((World::Transformer, &old), (World::Aggregator, &old));
        assert_eq!(other, ["it is of the world aggregator, and what runs is of transformer"]);
    }
}
