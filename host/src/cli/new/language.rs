//! The languages that a plugin may be started in, beside Rust: their templates, which stand in `sdk/LANGUAGE/template/KIND`.
//!
//! The rule: a template is a whole project but for its SDK, its records and what is the same for all kinds.
//! Left to others: the SDK's source (`sdk`), writing (`mod.rs`).

use super::{CLICKS, Files, PluginKind, sdk};

/// Path in the project, and text.
type Template = &'static [(&'static str, &'static str)];

macro_rules! template {
    ($folder:literal: $($path:literal),*) => {
        &[$(($path, include_str!(concat!("../../../../sdk/", $folder, "/", $path)))),*]
    };
}

/// The files of a project in Go.
pub fn go(kind: PluginKind) -> Files {
    let template: Template = match kind {
        PluginKind::Transformer => template!("go/template/transformer": "main.go", "main_test.go", "job.yaml"),
        PluginKind::Aggregator => template!("go/template/aggregator": "main.go", "main_test.go", "job.yaml"),
        PluginKind::Keyed => template!("go/template/keyed": "main.go", "main_test.go", "job.yaml"),
        PluginKind::Stateful => template!("go/template/stateful": "main.go", "main_test.go", "job.yaml"),
        PluginKind::Enricher => template!("go/template/enricher": "main.go", "main_test.go"),
    };
    let around: Template = &[
        ("go.mod", include_str!("../../../../sdk/go/template/go.mod.txt")),
        ("README.md", include_str!("../../../../sdk/go/template/README.md")),
    ];
    project(template, around, sdk::go())
}

/// The files of a project in C.
pub fn c(kind: PluginKind) -> Files {
    let template: Template = match kind {
        PluginKind::Transformer => template!("c/template/transformer": "plugin.c", "job.yaml"),
        PluginKind::Aggregator => template!("c/template/aggregator": "plugin.c", "job.yaml"),
        PluginKind::Keyed => template!("c/template/keyed": "plugin.c", "job.yaml"),
        PluginKind::Stateful => template!("c/template/stateful": "plugin.c", "job.yaml"),
        PluginKind::Enricher => template!("c/template/enricher": "plugin.c"),
    };
    let around: Template = &[("README.md", include_str!("../../../../sdk/c/template/README.md"))];
    project(template, around, sdk::c())
}

fn project(template: Template, around: Template, sdk: impl Iterator<Item = (String, String)>) -> Files {
    let own: Template = &[("data/clicks.jsonl", CLICKS), (".gitignore", "*.wasm\nout\n.pelton\n")];
    let files = template.iter().chain(around).chain(own);
    files.map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).chain(sdk).collect()
}
