//! What streams and registries of others may give to Pelton, as functions of bytes: the targets that a fuzzer searches and CI replays.
//!
//! The rule: **a target panics only where Pelton is wrong.** No bytes may panic the decoders, make them go on for ever, fill memory, or
//! change what becomes of the records around them; what is refused is refused with a code that is known, in words of bounded length.
//! `schemas` are those that records are framed for, `wire` frames and decodes, `pairs` is about schemas alone, `made` makes schemas
//! out of bytes, `smith` plugins, `mutate` changes inputs without a fuzzer.
//! Left to others: searching (libFuzzer, `cargo xtask fuzz`), whether good values are right (the judges in `host/tests/schemas`).

mod made;
pub mod mutate;
mod pairs;
mod schemas;
pub mod smith;
pub mod wire;

/// One thing to give bytes to.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// as in `cargo xtask fuzz NAME`
    pub name: &'static str,
    /// panics where Pelton is wrong
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 11] = [
    Target { name: "confluent", run: wire::confluent },
    Target { name: "glue", run: wire::glue },
    Target { name: "glue_zlib", run: wire::glue_zlib },
    Target { name: "single_object", run: wire::single_object },
    Target { name: "container", run: wire::container },
    Target { name: "gzip", run: wire::gzip },
    Target { name: "json", run: wire::json },
    Target { name: "resolved", run: wire::resolved },
    Target { name: "schema", run: pairs::schema },
    Target { name: "pair", run: pairs::pair },
    Target { name: "evolve", run: pairs::evolve },
];

/// The target of a name.
pub fn target(name: &str) -> Option<Target> {
    TARGETS.into_iter().find(|target| target.name == name)
}
