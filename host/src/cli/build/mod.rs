//! `pelton build`: a plugin project, or a core module, becomes a component that this host loads.
//!
//! The rule: one pipeline for all languages: the language's own compiler, then a core module is made a component (`encode`), then the
//! host loads it and asks it what it is. What a machine lacks is said with the command that brings it. The result is put in place only when
//! the host took it.
//! Left to others: each language's compiler (one file a language), what a plugin may do (`plugin`).

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use super::Output;
use crate::{
    error::{Error, Kind, Result},
    plugin::{Field, Manifest, Plugin},
    random,
};

mod adapter;
mod c;
mod encode;
mod go;
mod interface;
mod javascript;
mod python;
mod rust;
#[cfg(test)]
mod tests;
mod tool;

use interface::World;
pub use tool::Leash;

/// Build a plugin: a project in Rust, Go, C, JavaScript, TypeScript or Python, or a core module, becomes a component.
#[derive(Debug, Args)]
pub struct Arguments {
    /// the project's folder, or a .wasm file
    #[arg(default_value = ".")]
    project: PathBuf,
    /// where the component goes; without it FOLDER/NAME.wasm, named after the folder
    #[arg(short, long)]
    output: Option<PathBuf>,
    /// what the plugin is made for, where its exports or its project do not say
    #[arg(long, value_enum)]
    world: Option<World>,
    /// the config that the plugin is described under
    #[arg(long, default_value = "{}")]
    config: String,
    /// do not load what was built, so nothing of it is checked
    #[arg(long)]
    unchecked: bool,
    /// how to print
    #[arg(long, value_enum, default_value_t)]
    format: Output,
}

/// A project to build.
struct Project {
    /// where it lies
    folder: PathBuf,
    /// a folder that is gone afterwards
    scratch: PathBuf,
    /// what the user said it is made for
    world: Option<World>,
    /// which component is wanted, where several could be made
    component: Option<PathBuf>,
    /// what its tools are held by; none: they end with the user's terminal
    leash: Option<Leash>,
}

/// How a language is known and compiled: to a component or a core module.
type Compile = fn(&Project) -> Result<Vec<u8>>;

/// A language: the file that says so, in the order in which they are looked for.
const LANGUAGES: [(&[&str], Compile); 5] = [
    (&["Cargo.toml"], rust::compile),
    (&["go.mod", "main.go"], go::compile),
    (&["package.json"], javascript::compile),
    (&["pyproject.toml", "app.py"], python::compile),
    (&["plugin.c"], c::compile),
];

/// Runs the command.
pub fn build(arguments: &Arguments) -> Result<()> {
    let scratch = Scratch::new()?;
    let made = if arguments.project.is_file() {
        fs::read(&arguments.project).map_err(|e| refuse(format!("cannot read `{}`: {e}", arguments.project.display())))
    } else {
        let (folder, scratch) = (arguments.project.clone(), scratch.0.clone());
        compile(&Project { folder, scratch, world: arguments.world, component: None, leash: None })
    }?;
    let named = |what: String| refuse(format!("`{}` {what}", arguments.project.display()));
    let component = whole(made, arguments.world).map_err(named)?;
    let output = output(arguments)?;
    let fresh = scratch.0.join("component.wasm");
    fs::write(&fresh, &component).map_err(|e| refuse(format!("cannot write `{}`: {e}", fresh.display())))?;
    let about = if arguments.unchecked { None } else { Some(check(&fresh, arguments)?) };
    fs::write(&output, &component).map_err(|e| refuse(format!("cannot write `{}`: {e}", output.display())))?;
    match (&about, arguments.format) {
        (None, _) => super::line(format_args!("{}: {} bytes, unchecked", output.display(), component.len())),
        (Some(about), Output::Json) => super::line(about.to_json(&output, component.len())),
        (Some(about), Output::Text) => about.print(&output, component.len()),
    }
    Ok(())
}

/// The project that makes a component: the next folder above it whose output it is.
pub fn project_of(component: &Path) -> Option<&Path> {
    let is_there =
        |folder: &Path| LANGUAGES.iter().any(|(files, _)| files.iter().any(|file| folder.join(file).is_file()));
    let makes = |folder: &Path| named_after(folder).is_some_and(|made| made == component);
    let is_rust = |folder: &Path| folder.join("Cargo.toml").is_file() && rust::makes(folder, component);
    component.ancestors().skip(1).take(5).find(|folder| is_there(folder) && (makes(folder) || is_rust(folder)))
}

/// Builds a project to a component, this one where it makes several; nobody has looked at it yet.
pub fn component(project: &Path, component: &Path, leash: &Leash) -> Result<Vec<u8>> {
    let scratch = Scratch::new()?;
    let made = compile(&Project {
        folder: project.to_owned(),
        scratch: scratch.0.clone(),
        world: None,
        component: Some(component.to_owned()),
        leash: Some(leash.clone()),
    })?;
    whole(made, None).map_err(|what| refuse(format!("`{}` {what}", project.display())))
}

/// A component as it is; a core module becomes one.
fn whole(made: Vec<u8>, world: Option<World>) -> std::result::Result<Vec<u8>, String> {
    match encode::form(&made)? {
        encode::Form::Component => Ok(made),
        encode::Form::Module => encode::encode(&made, world),
    }
}

fn compile(project: &Project) -> Result<Vec<u8>> {
    let folder = &project.folder;
    if !folder.is_dir() {
        return Err(refuse(format!("there is no `{}`: give a project's folder or a .wasm file", folder.display())));
    }
    let is_there = |files: &[&str]| files.iter().any(|file| folder.join(file).is_file());
    let language = LANGUAGES.iter().find(|(files, _)| is_there(files));
    let Some((_, compile)) = language else {
        let files: Vec<String> = LANGUAGES.iter().map(|(files, _)| files.join(" or ")).collect();
        let (folder, files) = (folder.display(), files.join(", "));
        return Err(refuse(format!(
            "`{folder}` is no plugin project: there is none of {files}; start one with `pelton new plugin NAME`"
        )));
    };
    compile(project)
}

/// The component that a project makes where nothing else is said: FOLDER/NAME.wasm, named after the folder.
fn named_after(folder: &Path) -> Option<PathBuf> {
    Some(folder.join(format!("{}.wasm", folder.file_stem()?.to_string_lossy())))
}

fn output(arguments: &Arguments) -> Result<PathBuf> {
    if let Some(output) = &arguments.output {
        return Ok(output.clone());
    }
    let project = &arguments.project;
    let whole = fs::canonicalize(project).map_err(|e| refuse(format!("cannot find `{}`: {e}", project.display())))?;
    let stem = whole.file_stem().map_or_else(|| "plugin".into(), |name| name.to_string_lossy().into_owned());
    let (folder, stem) = match project.is_file() {
        true => (project.parent().unwrap_or(Path::new("")), format!("{}.component", stem.trim_end_matches(".core"))),
        false => (project.as_path(), stem),
    };
    Ok(folder.join(format!("{stem}.wasm")))
}

/// What the host found.
struct About {
    plugin: Plugin,
    /// what it says of itself, or why it says nothing under this config
    manifest: std::result::Result<Manifest, String>,
}

fn check(component: &Path, arguments: &Arguments) -> Result<About> {
    let runtime = super::runtime()?;
    let plugins = super::plugins()?;
    let renamed = |error: Error| {
        let text = error.to_string().replace(&format!("`{}`", component.display()), "as built");
        Error::new(error.kind(), text)
    };
    let plugin = runtime.block_on(plugins.load(component)).map_err(renamed)?;
    let manifest = runtime.block_on(plugin.describe(&arguments.config)).map_err(|error| error.to_string());
    Ok(About { plugin, manifest })
}

impl About {
    fn to_json(&self, output: &Path, bytes: usize) -> Value {
        let manifest = self.manifest.as_ref().ok();
        json!({
            "component": output.display().to_string(),
            "world": self.plugin.world().to_string(),
            "bytes": bytes,
            "digest": self.plugin.digest(),
            "name": manifest.map(|manifest| &manifest.name),
            "version": manifest.map(|manifest| &manifest.version),
            "error": self.manifest.as_ref().err(),
        })
    }

    fn print(&self, output: &Path, bytes: usize) {
        super::line(format_args!("{}", output.display()));
        super::line(format_args!("  world    {}", self.plugin.world()));
        super::line(format_args!("  size     {} bytes", bytes));
        super::line(format_args!("  sha256   {}", self.plugin.digest()));
        match &self.manifest {
            Err(why) => {
                super::line(format_args!("  says nothing of itself under this config; give one with --config: {why}"));
            }
            Ok(manifest) => {
                super::line(format_args!("  name     {} {}", manifest.name, manifest.version));
                for input in &manifest.inputs {
                    super::line(format_args!("  input    {}: {}", input.name, fields(&input.fields)));
                }
                for output in &manifest.outputs {
                    super::line(format_args!("  output   {}: {}", output.name, fields(&output.fields)));
                }
            }
        }
    }
}

fn fields(fields: &[Field]) -> String {
    let one = |field: &Field| {
        let kind = format!("{:?}", field.kind).to_lowercase();
        format!("{} {kind}{}", field.path, if field.optional { "?" } else { "" })
    };
    match fields {
        [] => "no fields".to_owned(),
        _ => fields.iter().map(one).collect::<Vec<_>>().join(", "),
    }
}

fn refuse(message: String) -> Error {
    Error::new(Kind::Config, message)
}

/// A folder for what tools leave behind, taken away at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("pelton-build-{:016x}", random::bits()));
        // A folder that is there already may be somebody else's.
        fs::create_dir(&folder).map_err(|e| {
            refuse(format!("cannot make the folder `{}`: {e}; set TMPDIR to another", folder.display()))
        })?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
