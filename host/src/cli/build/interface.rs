//! The interface `pelton:plugin` as this binary carries it: its text for tools, its worlds for us.
//!
//! The rule: what is built here is built against exactly the interface that this host speaks.
//! Left to others: encoding (`encode`).

use std::{fmt, path::Path, str::FromStr};

use wit_parser::{Resolve, WorldId};

use crate::{cli::new::sdk, error::Result};

/// What a plugin can be made for, as `wit/world.wit` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum World {
    /// map, filter, flat-map, route
    Transformer,
    /// keyed state and timers
    StatefulTransformer,
    /// state in, state out
    KeyedTransformer,
    /// fold, combine, finish
    Aggregator,
    /// prepare requests, complete
    Enricher,
}

impl World {
    /// All of them, and the exported interface that tells each from the others.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::StatefulTransformer, "on-timers"),
        (Self::KeyedTransformer, "keyed"),
        (Self::Aggregator, "aggregate"),
        (Self::Enricher, "enrich"),
        (Self::Transformer, "transform"),
    ];

    /// As the interface calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::StatefulTransformer => "stateful-transformer",
            Self::KeyedTransformer => "keyed-transformer",
            Self::Aggregator => "aggregator",
            Self::Enricher => "enricher",
        }
    }

    /// The world whose interfaces are among these exports, which are named `pelton:plugin/INTERFACE@VERSION#FUNCTION`.
    pub fn of_exports<'a>(exports: impl Iterator<Item = &'a str> + Clone) -> Option<Self> {
        let has = |interface: &str| {
            let of = |name: &str| name.strip_prefix("pelton:plugin/")?.strip_prefix(interface)?.chars().next();
            exports.clone().any(|name| of(name) == Some('@'))
        };
        Self::ALL.into_iter().find(|(_, interface)| has(interface)).map(|(world, _)| world)
    }
}

impl fmt::Display for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for World {
    type Err = String;

    fn from_str(name: &str) -> std::result::Result<Self, String> {
        let named = |(world, _): &(Self, &str)| world.name() == name;
        Self::ALL.iter().find(|world| named(world)).map(|(world, _)| *world).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|(world, _)| world.name()).collect();
            format!("`{name}` is no world; there are {}", names.join(", "))
        })
    }
}

/// Writes the interface into a folder, for tools that want one.
pub fn write(folder: &Path) -> Result<()> {
    let failed = |e| super::refuse(format!("cannot write the interface to `{}`: {e}", folder.display()));
    std::fs::create_dir_all(folder).map_err(failed)?;
    sdk::wit().iter().try_for_each(|(name, text)| std::fs::write(folder.join(name), text)).map_err(failed)
}

/// The interface, parsed, and one of its worlds.
pub fn parse(world: World) -> (Resolve, WorldId) {
    let mut sources = wit_parser::SourceMap::new();
    sdk::wit().iter().for_each(|(name, text)| sources.push_str(name, text));
    let parsed = sources.parse().map_err(|(_, error)| error.to_string());
    let mut resolve = Resolve::default();
    let package = resolve.push_group(parsed.expect("the interface that this binary carries is sound"));
    let package = package.expect("the interface that this binary carries is whole");
    let world = resolve.select_world(&[package], Some(world.name())).expect("each world is in the interface");
    (resolve, world)
}
