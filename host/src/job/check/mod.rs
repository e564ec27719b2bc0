//! Raw settings become a checked graph, or a list of every mistake.
//!
//! The rule: a mistake is reported once, where the person can mend it; what follows from it is not reported again. So every part goes
//! on with what it could read: settings one by one (`sources`, `steps`, `sinks`), then the wiring, then fields and types along it.
//! Left to others: what plugins and registries say (`interface`).

use std::{cell::RefCell, ops::Range, path::Path};

use super::{
    diagnostic::{Diagnostic, Report},
    file::{File, read::At},
    graph::{Graph, Registry},
};

mod connectors;
mod durable;
mod finish;
mod governance;
mod inline_tests;
mod plugins;
pub mod quantity;
mod registry;
mod sinks;
mod sources;
mod steps;
pub mod typing;
mod wiring;
mod written;

use super::interface::{NoRegistry, PluginInspector, PluginInterface, SchemaLookup};
use crate::plugin::Bounds;

/// The mistake of a subject whose schema was not found.
pub const UNKNOWN_SUBJECT: &str = "E0601";

/// What the parts of checking share.
struct Check<'a> {
    file: &'a File,
    inspector: &'a dyn PluginInspector,
    lookup: &'a dyn SchemaLookup,
    mistakes: RefCell<Vec<Diagnostic>>,
    /// what is not wrong, and worth knowing
    notes: RefCell<Vec<String>>,
}

/// The registry that a file names, without looking at anything else.
pub fn registry(file: &File) -> Option<Registry> {
    struct Nobody;
    impl PluginInspector for Nobody {
        fn inspect(&self, _: &Path, _: &serde_json::Value, _: &Bounds) -> Result<PluginInterface, String> {
            Err("nobody looks at plugins here".to_owned())
        }
    }
    let check = Check {
        file,
        inspector: &Nobody,
        lookup: &NoRegistry,
        mistakes: RefCell::default(),
        notes: RefCell::default(),
    };
    check.registry()
}

/// Checks a file: a graph, or all mistakes of the file.
pub fn check(file: &File, inspector: &dyn PluginInspector, lookup: &dyn SchemaLookup) -> Result<Graph, Report> {
    let mistakes = RefCell::new(file.mistakes.clone());
    let check = Check { file, inspector, lookup, mistakes, notes: RefCell::default() };
    let graph = check.graph();
    let mistakes = check.mistakes.into_inner();
    match graph {
        Some(graph) if mistakes.is_empty() => Ok(graph),
        _ => Err(Report::new(&file.path, file.text.clone(), mistakes)),
    }
}

impl<'a> Check<'a> {
    fn report(&self, mistake: Diagnostic) {
        self.mistakes.borrow_mut().push(mistake);
    }

    fn note(&self, note: String) {
        self.notes.borrow_mut().push(note);
    }

    /// The value of a setting that may be left out.
    fn given<T>(&self, setting: &'a Option<At<T>>) -> Option<(&'a T, Range<usize>)> {
        let setting = setting.as_ref()?;
        Some((setting.value.as_ref()?, setting.place.clone()))
    }

    /// The value of a setting that must be there; `owner` is where it is missing.
    fn needed<T>(&self, setting: &'a Option<At<T>>, key: &str, owner: &Range<usize>) -> Option<(&'a T, Range<usize>)> {
        if setting.is_none() {
            let message = format!("the key `{key}` is missing");
            self.report(Diagnostic::new("E0005", owner.clone(), message).label(format!("needs `{key}`")));
        }
        self.given(setting)
    }

    /// A text that must not be empty.
    fn needed_text(&self, setting: &'a Option<At<String>>, key: &str, owner: &Range<usize>) -> Option<String> {
        let (text, place) = self.needed(setting, key, owner)?;
        if text.trim().is_empty() {
            self.report(Diagnostic::new("E0104", place, format!("`{key}` is empty")));
            return None;
        }
        Some(text.clone())
    }

    fn text(&self, setting: &'a Option<At<String>>) -> Option<String> {
        self.given(setting).map(|(text, _)| text.clone())
    }

    /// A setting that is a text with a meaning; `default` where it is left out.
    fn quantity<T>(
        &self,
        setting: &'a Option<At<String>>,
        code: &'static str,
        default: T,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let Some((text, place)) = self.given(setting) else { return default };
        read(text).unwrap_or_else(|why| {
            self.report(Diagnostic::new(code, place, why));
            default
        })
    }

    /// Exactly one of some keys must be there: its index.
    fn exactly_one(&self, what: &str, owner: &Range<usize>, keys: &[(&str, Option<&Range<usize>>)]) -> Option<usize> {
        let there: Vec<usize> = (0..keys.len()).filter(|index| keys[*index].1.is_some()).collect();
        let names: Vec<&str> = keys.iter().map(|(name, _)| *name).collect();
        match there[..] {
            [one] => Some(one),
            [] => {
                let message = format!("{what} needs exactly one of {}", names.join(", "));
                self.report(Diagnostic::new("E0301", owner.clone(), message).label("has none"));
                None
            }
            [first, second, ..] => {
                let place = |index: usize| keys[index].1.cloned().unwrap_or_default();
                let message = format!("{what} needs exactly one of {}", names.join(", "));
                let both = Diagnostic::new("E0301", place(second), message).label(format!("`{}` too", names[second]));
                self.report(both.related(place(first), format!("`{}` here", names[first])));
                None
            }
        }
    }

    /// Names stand in file names, metrics and `STEP.OUTPUT`.
    fn name(&self, name: &str, place: &Range<usize>) -> bool {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            let message = format!("`{name}` is no name");
            let help = "letters, digits, `-` and `_`, at most 64";
            self.report(Diagnostic::new("E0105", place.clone(), message).help(help));
            return false;
        }
        true
    }
}
