//! Who may name whom in `host/src`, and through which door the outside is reached.

use super::{Report, rust, tree::File};

/// Words that everybody shares.
const SHARED: &[&str] = &["record", "error", "clock", "random", "task", "aws", "permit", "planted"];

/// Every module of `host/src/lib.rs` and what it may name beside [`SHARED`]. `a::B` allows that name alone: a contract, not a way
/// of doing it.
const LAYERS: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("error", &[]),
    ("clock", &[]),
    ("random", &[]),
    ("task", &[]),
    ("aws", &[]),
    ("permit", &[]),
    ("planted", &[]),
    ("source", &[]),
    ("decode", &["source::Pending"]),
    ("transform", &["state", "plugin"]),
    (
        "window",
        &[
            "state",
            "plugin",
            "transform::LocalPending",
            "transform::Outputs",
            "transform::RowReject",
            "transform::Step",
            "transform::calling",
            "transform::evidence",
            "transform::wanted",
        ],
    ),
    ("sink", &["source::Pending"]),
    ("state", &[]),
    ("plugin", &[]),
    ("connector", &["plugin"]),
    ("objects", &["source::Pending"]),
    ("lease", &["source::Pending"]),
    ("checkpoint", &["sink", "source", "state", "objects"]),
    ("metrics", &[]),
    ("contract", &["source", "decode", "transform", "window", "sink", "state", "objects", "lease", "checkpoint"]),
    (
        "job",
        &[
            "source",
            "decode",
            "transform",
            "window",
            "sink",
            "state",
            "objects",
            "lease",
            "checkpoint",
            "plugin",
            "connector",
            "metrics",
        ],
    ),
    ("control", &["job", "plugin"]),
    (
        "cli",
        &[
            "control",
            "source",
            "decode",
            "transform",
            "window",
            "sink",
            "state",
            "objects",
            "lease",
            "checkpoint",
            "plugin",
            "metrics",
            "job",
        ],
    ),
];

/// Services of AWS after which files are named.
const SERVICES: &[&str] = &["kinesis", "firehose", "dynamodb", "s3", "glue", "sts"];

/// The laws of one file of the host.
pub fn check(file: &File, report: &mut Report<'_>) {
    let Some(place) = file.path.strip_prefix("host/src/") else { return };
    let code: String = file.code.lines().take(file.tests_begin() - 1).collect::<Vec<_>>().join("\n");
    doors(place, &code, report);
    if !file.is_test() {
        stages(place, &code, report);
    }
}

fn stages(place: &str, code: &str, report: &mut Report<'_>) {
    let own = place.split(['/', '.']).next().unwrap_or(place);
    if own == "lib" || own == "main" {
        return;
    }
    let Some((_, allowed)) = LAYERS.iter().find(|(module, _)| *module == own) else {
        report.broken(
            "stages",
            0,
            format!("module `{own}` has no row in `LAYERS` of host/tests/tidy/layers.rs: add it"),
        );
        return;
    };
    for named in rust::paths(code, "crate") {
        let Some(other) = named.parts.get(1).map(String::as_str) else { continue };
        if other == own || SHARED.contains(&other) || !LAYERS.iter().any(|(module, _)| *module == other) {
            continue;
        }
        let full = named.parts[1..].join("::");
        let fits = |rule: &&str| *rule == other || full == **rule || full.starts_with(&format!("{rule}::"));
        if !allowed.iter().any(fits) {
            let what =
                format!("`{own}` may not name `{full}`: hand it in through `job`, or move what both need to `record`");
            report.broken("stages", named.line, what);
        }
    }
}

fn doors(place: &str, code: &str, report: &mut Report<'_>) {
    let after_a_service = place.split(['/', '.']).any(|part| part == "aws" || SERVICES.contains(&part));
    let doors: [(&[&str], bool, &str); 3] = [
        (&["wasmtime", "wasmtime_wasi", "wasmtime_wasi_io", "wit_bindgen"], place.starts_with("plugin/"), "plugin/"),
        (&["rocksdb"], place == "state/rocksdb.rs", "state/rocksdb.rs"),
        (
            &[
                "aws_config",
                "aws_sdk_kinesis",
                "aws_sdk_firehose",
                "aws_sdk_dynamodb",
                "aws_smithy_http_client",
                "aws_types",
            ],
            after_a_service,
            "aws.rs and files named after a service",
        ),
    ];
    for (crates, open, door) in doors {
        for name in crates.iter().filter(|_| !open) {
            for named in rust::paths(code, name) {
                report.broken("one-door", named.line, format!("`{name}` is named in {door} alone"));
            }
        }
    }
}
