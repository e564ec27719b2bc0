//! The job file as it was written: raw settings with their places.
//!
//! The rule: reading judges nothing but shape (syntax, keys, types, variables). Everything that could be read is kept, together
//! with the mistakes found on the way, so that checking goes on and a person sees all mistakes at once.
//! Left to others: what the settings mean (`check`).

use std::{
    cell::RefCell,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::diagnostic::{Diagnostic, Report};

pub mod connectors;
mod interpolate;
mod node;
pub mod plugin;
pub mod raw;
pub mod read;
pub mod schemas;

/// Looks up an environment variable.
pub type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// A job file is written by people.
const LONGEST_FILE: u64 = 1024 * 1024;

/// A text that never shows itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a text to itself.
    pub fn new(text: &str) -> Self {
        Self(text.to_owned())
    }

    /// The text, for the one who needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl serde::Serialize for Secret {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str("<secret>")
    }
}

/// A file that was read, with the mistakes of its shape.
#[derive(Debug)]
pub struct File {
    /// the name shown in messages
    pub path: String,
    /// paths in the file are relative to it
    pub folder: PathBuf,
    /// the text
    pub text: Arc<str>,
    /// what it says
    pub raw: raw::Job,
    /// found so far; [`super::check`] adds its own
    pub mistakes: Vec<Diagnostic>,
}

impl File {
    /// Puts another plugin at a step that has one. Whether it has.
    pub fn put_plugin(&mut self, step: &str, plugin: &Path) -> bool {
        let Some(steps) = self.raw.steps.as_mut().and_then(|steps| steps.value.as_mut()) else { return false };
        let named = |(name, _): &&mut (read::At<String>, read::At<raw::Step>)| name.value.as_deref() == Some(step);
        let Some(step) = steps.0.iter_mut().find(named).and_then(|(_, step)| step.value.as_mut()) else { return false };
        let path = Some(plugin.display().to_string());
        if let Some(transform) = step.transform.as_mut().and_then(|transform| transform.value.as_mut())
            && let Some(plugin) = &mut transform.plugin
        {
            plugin.value = path;
            transform.digest = None;
            return true;
        }
        let aggregate = step.aggregate.as_mut().and_then(|aggregate| aggregate.value.as_mut());
        let Some(raw::Aggregate(settings)) = aggregate else { return false };
        let plugin = settings.0.iter_mut().find(|(name, _)| name.value.as_deref() == Some("plugin"));
        let Some((_, plugin)) = plugin else { return false };
        plugin.value = path.map(serde_json::Value::String);
        settings.0.retain(|(name, _)| name.value.as_deref() != Some("digest"));
        true
    }
}

/// Reads a job file. Only a file that is no YAML map fails here; other mistakes wait for [`super::check`].
pub fn load(path: &Path, env: Variables<'_>) -> Result<File, Report> {
    let name = path.display().to_string();
    let folder = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
    let text = read_text(path).map_err(|why| {
        let help = "give the path of a job file, or make one with `pelton new job NAME`";
        let mistake = Diagnostic::new("E0011", 0..0, format!("the job file `{name}` cannot be read: {why}")).help(help);
        Report::new(&name, "".into(), vec![mistake])
    })?;
    parse(&name, &folder, &text, env)
}

/// The text of a file that a person wrote.
pub fn read_text(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST_FILE + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST_FILE {
        return Err("it is longer than 1 MiB".into());
    }
    Ok(text)
}

/// Reads the text of a job file; `name` is shown in messages, `folder` is where its paths begin.
pub fn parse(name: &str, folder: &Path, text: &str, env: Variables<'_>) -> Result<File, Report> {
    let text: Arc<str> = text.into();
    let mut tree = node::parse(&text).map_err(|mistake| Report::new(name, text.clone(), vec![mistake]))?;
    let mut mistakes = Vec::new();
    interpolate::resolve(&mut tree, folder, env, &mut mistakes);
    let collected = RefCell::new(mistakes);
    let root = read::read::<raw::Job>(&tree, &collected);
    let mistakes = collected.into_inner();
    match root.value {
        Some(raw) => Ok(File { path: name.to_owned(), folder: folder.to_owned(), text, raw, mistakes }),
        None => Err(Report::new(name, text, mistakes)),
    }
}

/// The JSON Schema of a job file, as `docs/reference/job.schema.json` holds it.
pub fn reference_schema() -> String {
    let schema = schemars::schema_for!(raw::Job);
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    text.push('\n');
    text
}
