//! What stands beside `plugin:`: its digest, what it may use, how far it may go.
//!
//! The rule: a bound that cannot be read is a mistake, never a default.

use std::{collections::BTreeSet, ops::Range, path::PathBuf, time::Duration};

use serde_json::Value as Json;

use super::{
    Check,
    quantity::{duration, size},
};
use crate::{
    job::{diagnostic::Diagnostic, file::raw, graph::OnError, interface::PluginInterface},
    plugin::{Bounds, Capability},
};

/// The keys beside `plugin:` wherever a plugin stands.
pub(super) const KEYS: [&str; 6] = ["plugin", "config", "on_error", "digest", "allow", "limits"];

/// A setting and where it stands.
pub(super) type Setting<'a> = Option<(&'a Json, Range<usize>)>;

/// What stands beside `plugin:`.
pub(super) struct Beside<'a> {
    pub(super) config: Json,
    pub(super) on_error: OnError,
    pub(super) digest: Setting<'a>,
    pub(super) allow: Setting<'a>,
    pub(super) limits: Setting<'a>,
}

const DIGEST: &str = "sha256:";

impl<'a> Check<'a> {
    /// The file that a text names: a path, or a digest.
    pub(super) fn component(&self, text: &str, place: Range<usize>) -> Option<PathBuf> {
        match text.strip_prefix(DIGEST) {
            None => self.existing_file(text, place),
            Some(_) => {
                let digest = self.sha256(text, &place)?;
                self.existing_file(&format!("plugins/{digest}.wasm"), place)
            }
        }
    }

    /// What the plugin may use, where the job says so; whether it is the one that is meant.
    pub(super) fn allowed(
        &self,
        (text, place): (&str, &Range<usize>),
        beside: &Beside<'a>,
        interface: &PluginInterface,
    ) -> Option<BTreeSet<Capability>> {
        let pinned = beside.digest.as_ref().and_then(|(digest, place)| {
            let Json::String(digest) = digest else {
                self.report(Diagnostic::new("E0004", place.clone(), "expected a digest in hexadecimal digits"));
                return None;
            };
            Some((self.sha256(digest, place)?, place.clone()))
        });
        let named = text.starts_with(DIGEST).then(|| self.sha256(text, place)).flatten();
        for (digest, place) in pinned.into_iter().chain(named.map(|digest| (digest, place.clone()))) {
            if digest != interface.digest {
                let message = format!("the plugin `{text}` has the digest {}, not {digest}", interface.digest);
                let help = "build or fetch the one that is meant, or name this one's digest";
                self.report(Diagnostic::new("E0509", place, message).help(help));
            }
        }
        let allow = beside.allow.as_ref().and_then(|(names, place)| self.allow(names, place));
        if let (Some(allow), Some((_, place))) = (&allow, &beside.allow) {
            for used in interface.uses.iter().filter(|used| !allow.contains(*used)) {
                let message = format!("the plugin `{}` uses `{used}`, which `allow` does not name", interface.name);
                let help = format!("add `{used}` to `allow`, or take another plugin");
                self.report(Diagnostic::new("E0510", place.clone(), message).help(help));
            }
        }
        allow
    }

    fn sha256(&self, text: &str, place: &Range<usize>) -> Option<String> {
        let digest = text.strip_prefix(DIGEST).unwrap_or(text).to_ascii_lowercase();
        if digest.len() == 64 && digest.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Some(digest);
        }
        let mistake = Diagnostic::new("E0104", place.clone(), format!("`{text}` is no SHA-256"));
        self.report(mistake.help("64 hexadecimal digits, as `pelton plugin inspect` shows them"));
        None
    }

    fn allow(&self, names: &Json, place: &Range<usize>) -> Option<BTreeSet<Capability>> {
        let listed: Option<Vec<&str>> =
            names.as_array().and_then(|names| names.iter().map(Json::as_str).collect::<Option<_>>());
        let Some(listed) = listed else {
            self.report(Diagnostic::new("E0004", place.clone(), "expected a list of names").help(Capability::NAMES));
            return None;
        };
        let read = |name: &str| match name.parse() {
            Ok(capability) => Some(capability),
            Err(why) => {
                self.report(Diagnostic::new("E0104", place.clone(), why));
                None
            }
        };
        Some(listed.into_iter().filter_map(read).collect())
    }

    /// How far the plugin may go.
    pub(super) fn limits(&self, (given, place): &(&Json, Range<usize>)) -> Bounds {
        let read: raw::Limits = match serde_json::from_value((*given).clone()) {
            Ok(read) => read,
            Err(wrong) => {
                let help = "there is: memory, call_time, cpu, state, output (texts with a unit), log_lines (a number)";
                self.report(Diagnostic::new("E0104", place.clone(), format!("`limits`: {wrong}")).help(help));
                return Bounds::default();
            }
        };
        let bytes =
            |text: &str, least: u64, most: u64| size(text).and_then(|bytes| within(text, bytes, (least, most), shown));
        let memory = |text: &str| bytes(text, 1 << 20, 2 << 30).map(|bytes| bytes as usize);
        let output = |text: &str| bytes(text, 64 << 10, 256 << 20).map(|bytes| bytes as usize);
        let call_time = |text: &str| {
            let range = (Duration::from_millis(1), Duration::from_secs(60));
            duration(text).and_then(|time| within(text, time, range, |time| format!("{time:?}")))
        };
        if let Some(lines) = read.log_lines.filter(|lines| *lines > 10_000) {
            self.report(Diagnostic::new("E0104", place.clone(), format!("`log_lines` is {lines}; at most 10000")));
        }
        Bounds {
            memory: self.limit(("memory", "E0102", place), &read.memory, memory),
            call_time: self.limit(("call_time", "E0101", place), &read.call_time, call_time),
            cpu: self.limit(("cpu", "E0104", place), &read.cpu, percent),
            output: self.limit(("output", "E0102", place), &read.output, output),
            log_lines: read.log_lines,
            state: self.limit(("state", "E0102", place), &read.state, |text| bytes(text, 1 << 20, 1 << 50)),
        }
    }

    fn limit<T>(
        &self,
        (name, code, place): (&str, &'static str, &Range<usize>),
        text: &Option<String>,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        read(text.as_deref()?)
            .map_err(|why| self.report(Diagnostic::new(code, place.clone(), format!("`{name}`: {why}"))))
            .ok()
    }
}

fn shown(bytes: u64) -> String {
    match bytes.trailing_zeros() {
        30.. => format!("{}GiB", bytes >> 30),
        20.. => format!("{}MiB", bytes >> 20),
        _ => format!("{}KiB", bytes >> 10),
    }
}

fn within<T: PartialOrd + Copy>(text: &str, value: T, range: (T, T), shown: impl Fn(T) -> String) -> Result<T, String> {
    if value >= range.0 && value <= range.1 {
        return Ok(value);
    }
    Err(format!("`{text}` lies not between {} and {}", shown(range.0), shown(range.1)))
}

fn percent(text: &str) -> Result<u32, String> {
    let number = text.trim().strip_suffix('%').and_then(|number| number.trim_end().parse().ok());
    number
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| format!("`{text}` is no share: write it like 25%"))
}
