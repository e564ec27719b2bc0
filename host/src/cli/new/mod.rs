//! `pelton new plugin NAME` and `pelton new job NAME`: projects that build and run as they are, wherever they lie.
//!
//! The rule: nothing that exists is touched, and what is made passes its own tests. Left to others: the SDK's source (`sdk`).

use std::{fs, io, path::Path};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::json;

use super::Output;
use crate::error::{Error, Kind, Result};

pub mod sdk;

/// Start a plugin or a job.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// how to print
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Output,
}

#[derive(Debug, Subcommand)]
enum What {
    /// A plugin: source, tests, a job that tries it, and the SDK
    Plugin {
        /// also the folder's name: small letters, digits, `-` and `_`
        name: String,
        /// what it does with records
        #[arg(long, value_enum, default_value_t)]
        kind: PluginKind,
        /// what it is written in
        #[arg(long, value_enum, default_value_t)]
        lang: Language,
    },
    /// A job: a job file with tests, and records to try it on
    Job {
        /// also the folder's name: letters, digits, `-` and `_`
        name: String,
    },
}

/// What a plugin is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Language {
    #[default]
    Rust,
    #[value(alias = "javascript")]
    Js,
    #[value(alias = "typescript")]
    Ts,
    #[value(alias = "py")]
    Python,
    Go,
    C,
}

impl Language {
    /// The folder of its SDK, and in that the one of its templates.
    fn folders(self) -> (&'static str, &'static str) {
        match self {
            Self::Rust => ("rust", "template"),
            Self::Js => ("javascript", "template/js"),
            Self::Ts => ("javascript", "template/ts"),
            Self::Python => ("python", "template"),
            Self::Go => ("go", "template"),
            Self::C => ("c", "template"),
        }
    }

    /// What its author does first.
    fn first(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::Js | Self::Ts => "npm install",
            Self::Python => "python3 -m unittest",
            Self::Go | Self::C => "pelton build",
        }
    }
}

/// The worlds that have a template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum PluginKind {
    /// a record in, none, one or more out
    #[default]
    Transformer,
    /// records of a window in, one result out
    Aggregator,
    /// records in, records out, over tables by key and timers
    Stateful,
    /// the same with one value a key
    Keyed,
    /// what others know is asked and added
    Enricher,
}

impl PluginKind {
    /// The folder of its templates.
    fn folder(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Aggregator => "aggregator",
            Self::Stateful => "stateful",
            Self::Keyed => "keyed",
            Self::Enricher => "enricher",
        }
    }

    /// The world, as the interface calls it.
    fn world(self) -> &'static str {
        match self {
            Self::Transformer => "transformer",
            Self::Aggregator => "aggregator",
            Self::Stateful => "stateful-transformer",
            Self::Keyed => "keyed-transformer",
            Self::Enricher => "enricher",
        }
    }
}

/// Path in the project, and text.
type Files = Vec<(String, String)>;

/// Where a project has records to try it on.
const RECORDS: &str = "data/clicks.jsonl";
const CLICKS: &str = include_str!("templates/clicks.jsonl");
const IGNORED: &str = include_str!("templates/gitignore");
const TOOLCHAIN: &str = include_str!("../../../../rust-toolchain.toml");

/// Runs the command.
pub fn new(arguments: &Arguments) -> Result<()> {
    let (name, files, next) = match &arguments.what {
        What::Plugin { name, kind, lang } => {
            check_package(name, *lang)?;
            (name, plugin(name, *kind, *lang), lang.first())
        }
        What::Job { name } => {
            check_name(name)?;
            (name, job(name), "pelton test job.yaml")
        }
    };
    let folder = Path::new(name);
    write(folder, &files)?;
    match arguments.format {
        Output::Json => {
            println!("{}", json!({ "folder": name, "files": files.iter().map(|(path, _)| path).collect::<Vec<_>>() }));
        }
        Output::Text => println!("{name} is made; go on with `cd {name}` and `{next}`, as {name}/README.md says"),
    }
    Ok(())
}

/// A project: what all of its language have, what its kind has in place of that or beside it, records to try it on, and the SDK.
fn plugin(name: &str, kind: PluginKind, language: Language) -> Files {
    let (sdk, templates) = language.folders();
    let own = sdk::template(&format!("{sdk}/{templates}/{}", kind.folder()));
    let mut files = sdk::template(&format!("{sdk}/{templates}/common"));
    files.retain(|(path, _)| !own.iter().any(|(name, _)| name == path));
    files.extend(own);
    if language == Language::Rust {
        files.push(("rust-toolchain.toml".into(), TOOLCHAIN.into()));
    }
    if files.iter().any(|(_, text)| text.contains(&format!("path: {RECORDS} "))) {
        files.push((RECORDS.into(), CLICKS.into()));
    }
    let (krate, world) = (name.replace('-', "_"), kind.world());
    for (_, text) in &mut files {
        *text = text.replace("{{name}}", name).replace("{{crate}}", &krate).replace("{{kind}}", world);
    }
    files.extend(sdk::sdk(sdk));
    files
}

fn job(name: &str) -> Files {
    let files = [
        ("job.yaml", include_str!("templates/job/job.yaml")),
        ("README.md", include_str!("templates/job/README.md")),
        (".gitignore", IGNORED),
        (RECORDS, CLICKS),
    ];
    files.iter().map(|(path, text)| ((*path).to_owned(), text.replace("{{name}}", name))).collect()
}

fn refuse(message: String) -> Error {
    Error::new(Kind::Config, message)
}

fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || name.starts_with('-') || !name.chars().all(plain) {
        return Err(refuse(format!(
            "`{name}` is no name: take letters, digits, `-` and `_`, at most 64; it becomes a folder here"
        )));
    }
    Ok(())
}

/// What cargo or Go would refuse as a name, or the project could not be built with.
fn check_package(name: &str, language: Language) -> Result<()> {
    check_name(name)?;
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || name.contains(|c: char| c.is_ascii_uppercase()) {
        let small = name.to_ascii_lowercase();
        let small = small.trim_start_matches(|c: char| !c.is_ascii_lowercase());
        let help = if small.is_empty() { "my-plugin" } else { small };
        return Err(refuse(format!(
            "`{name}` is no name of a package: it begins with a small letter and has no capital ones, such as `{help}`"
        )));
    }
    if RESERVED.contains(&name) {
        return Err(refuse(format!(
            "`{name}` means something to Rust already, so no package can have that name: take `{name}-plugin`, say"
        )));
    }
    if language == Language::Go && ["go", "cmd"].contains(&name) {
        let words = format!(
            "`{name}` means something to Go already, so no module can have that name: take `{name}-plugin`, say"
        );
        return Err(refuse(words));
    }
    Ok(())
}

/// Keywords, and crates that the project itself uses.
const RESERVED: &[&str] = &[
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "pelton-sdk",
    "pelton-sdk-macros",
    "pelton_sdk",
    "pelton_sdk_macros",
    "priv",
    "proc_macro",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "serde_json",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "wit-bindgen",
    "wit_bindgen",
    "yield",
];

fn write(folder: &Path, files: &Files) -> Result<()> {
    fs::create_dir(folder).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            refuse(format!("`{}` exists already, and nothing is overwritten: take another name", folder.display()))
        }
        _ => refuse(format!("cannot make the folder `{}`: {e}", folder.display())),
    })?;
    for (path, text) in files {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent)
            .and_then(|()| fs::write(&path, text))
            .map_err(|e| refuse(format!("cannot write `{}`: {e}", path.display())))?;
    }
    Ok(())
}
