//! Job files and what checking says about them: `cases/check/NAME/{job.yaml, expected.txt}`.
//!
//! A plugin here is a JSON file that says what a component would say about itself, and `subjects/NAME/VERSION.avsc` is a subject of the
//! registry, each version a schema, and `mode` beside them how it grows there. `UPDATE=1` writes what is expected anew.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, sync::Arc};

use arrow::datatypes::Schema;
use pelton::{
    decode::registry::{FolderSource, Found, Patience, Registered, Registry, Which},
    job::{
        self, FieldKind, Graph, PluginField, PluginInput, PluginInspector, PluginInterface, PluginOutput, SchemaLookup,
        World,
    },
    plugin::Bounds,
};
use pelton_schema::Mode;
use serde::Deserialize;

#[derive(Deserialize)]
struct Plugin {
    world: String,
    #[serde(default)]
    wants: BTreeMap<String, String>,
    /// where there are several
    #[serde(default)]
    inputs: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    key: BTreeMap<String, String>,
    outputs: BTreeMap<String, BTreeMap<String, String>>,
    #[serde(default)]
    connectors: Vec<String>,
    #[serde(default)]
    uses: Vec<String>,
}

struct Outside<'a>(&'a Path);

impl PluginInspector for Outside<'_> {
    fn inspect(&self, path: &Path, _: &serde_json::Value, _: &Bounds) -> Result<PluginInterface, String> {
        let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
        let plugin: Plugin = serde_json::from_str(&text).map_err(|_| "it is no WebAssembly component".to_owned())?;
        let outputs = plugin.outputs.iter().map(|(name, of)| PluginOutput { name: name.clone(), fields: fields(of) });
        let named =
            if plugin.inputs.is_empty() { BTreeMap::from([("in".to_owned(), plugin.wants)]) } else { plugin.inputs };
        let inputs = named.iter().map(|(name, of)| PluginInput { name: name.clone(), wants: fields(of) });
        Ok(PluginInterface {
            world: match plugin.world.as_str() {
                "transformer" => World::Transformer,
                "aggregator" => World::Aggregator,
                "stateful-transformer" => World::StatefulTransformer,
                "keyed-transformer" => World::KeyedTransformer,
                _ => World::Enricher,
            },
            name: path.file_stem().unwrap().to_string_lossy().into_owned(),
            version: "1.0.0".into(),
            digest: "d1".into(),
            inputs: inputs.collect(),
            key: fields(&plugin.key),
            outputs: outputs.collect(),
            uses: plugin.uses.iter().map(|name| name.parse().unwrap()).collect(),
            connectors: plugin.connectors,
        })
    }
}

impl Outside<'_> {
    fn ask<T>(&self, question: impl AsyncFnOnce(&Registry) -> pelton::error::Result<T>) -> Result<T, String> {
        let folder = self.0.join("subjects");
        if !folder.is_dir() {
            return Err("the registry has no such subject".to_owned());
        }
        let registry = Registry::new(
            Box::new(FolderSource::new(folder)),
            Patience::default(),
            pelton::clock::SystemClock::shared(),
        );
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(question(&registry)).map_err(|failed| failed.to_string())
    }
}

impl SchemaLookup for Outside<'_> {
    fn latest(&self, subject: &str) -> Result<Arc<Registered>, String> {
        self.ask(async |registry| registry.latest(subject).await)
    }

    fn versions(&self, subject: &str) -> Result<Vec<u32>, String> {
        self.ask(async |registry| registry.versions(subject).await)
    }

    fn version(&self, subject: &str, number: u32) -> Result<Option<Arc<Registered>>, String> {
        match self.ask(async |registry| registry.version(subject, Which::Number(number)).await)? {
            Found::Schema(schema) => Ok(Some(schema)),
            _ => Ok(None),
        }
    }

    fn mode(&self, subject: &str) -> Result<Option<Mode>, String> {
        let file = self.0.join(format!("subjects/{subject}/mode"));
        Ok(fs::read_to_string(file).ok().and_then(|mode| Mode::parse(&mode)))
    }

    fn registered(&self, _: &str, _: &str) -> Result<Option<Arc<Registered>>, String> {
        Ok(None)
    }
}

fn fields(named: &BTreeMap<String, String>) -> Vec<PluginField> {
    let field = |(path, kind): (&String, &String)| PluginField {
        path: path.clone(),
        kind: match kind.trim_end_matches('?') {
            "int32" => FieldKind::Int32,
            "int64" => FieldKind::Int64,
            "float64" => FieldKind::Float64,
            "timestamp" => FieldKind::Timestamp,
            _ => FieldKind::Text,
        },
        optional: kind.ends_with('?'),
    };
    named.iter().map(field).collect()
}

fn answer(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("job.yaml")).unwrap();
    let env = |name: &str| (name == "STREAM").then(|| "clicks".to_owned());
    let outside = Outside(folder);
    let graph = job::parse("job.yaml", folder, &text, &env).and_then(|file| job::check(&file, &outside, &outside));
    match graph {
        Ok(graph) => describe(&graph),
        Err(report) => {
            assert_eq!(report.to_json()["mistakes"].as_array().unwrap().len(), report.diagnostics.len());
            report.render(false)
        }
    }
}

fn describe(graph: &Graph) -> String {
    let mut text = String::new();
    writeln!(text, "{:?}", graph.partitioning).unwrap();
    for node in &graph.nodes {
        if let job::graph::NodeKind::Source(source) = &node.kind {
            let asked = pelton::decode::columns::arrow_schema(&source.wanted_fields());
            assert_eq!(asked, source.wanted, "what decode is asked for is what steps were promised");
        }
        let names = |schema: &Schema| {
            schema.fields().iter().map(|f| format!("{} {}", f.name(), f.data_type())).collect::<Vec<_>>()
        };
        writeln!(
            text,
            "\n{} <- {:?}",
            node.name,
            node.inputs.iter().map(|edge| (edge.node, edge.output)).collect::<Vec<_>>()
        )
        .unwrap();
        for output in &node.outputs {
            writeln!(text, "  [{}] {}", output.name, names(&output.schema).join(", ")).unwrap();
        }
    }
    let canonical = serde_json::to_string_pretty(&graph.canonical()).unwrap();
    graph.notes.iter().for_each(|note| writeln!(text, "\nnote: {note}").unwrap());
    writeln!(text, "\n{canonical}").unwrap();
    text
}

fn same(path: &Path, found: &str) -> Option<String> {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(path, found).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    (expected != found).then(|| format!("--- {}\n{expected}\n+++ found (UPDATE=1 writes it)\n{found}", path.display()))
}

#[test]
fn checking_says_what_each_case_expects() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check");
    let mut folders: Vec<_> = fs::read_dir(cases).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() > 10);
    let wrong: Vec<String> =
        folders.iter().filter_map(|folder| same(&folder.join("expected.txt"), &answer(folder))).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_job_is_the_same_from_every_working_directory_and_another_after_a_change() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check/good");
    let there = here.join("../good");
    let text = fs::read_to_string(here.join("job.yaml")).unwrap();
    let digest = |folder: &Path, text: &str| {
        let file = job::parse("job.yaml", folder, text, &|_| Some("x".to_owned())).unwrap();
        job::check(&file, &Outside(folder), &Outside(folder)).unwrap().digest()
    };
    assert_eq!(digest(&here, &text), digest(&there, &text));
    assert_eq!(digest(&here, &text), digest(&here, &text.replace("5s }", "5000ms } # the same")));
    assert_ne!(digest(&here, &text), digest(&here, &text.replace("spent > 100", "spent > 101")));
}

#[test]
fn the_published_schema_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/job.schema.json");
    assert_eq!(same(&path, &job::reference_schema()), None);
}

#[test]
fn no_cut_or_damaged_file_makes_checking_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/check/good");
    let text = fs::read_to_string(folder.join("job.yaml")).unwrap();
    let outside = Outside(&folder);
    for cut in (0..text.len()).step_by(3).filter(|cut| text.is_char_boundary(*cut)) {
        for damaged in [
            text[..cut].to_owned(),
            format!("{}]{}", &text[..cut], &text[cut..]),
            format!("{}\n  - é: ${{{}", &text[..cut], &text[cut..]),
        ] {
            let result = job::parse("job.yaml", &folder, &damaged, &|_| None)
                .and_then(|file| job::check(&file, &outside, &outside));
            if let Err(report) = result {
                assert!(!report.diagnostics.is_empty() && !report.render(true).is_empty());
            }
        }
    }
}
