//! `${env:NAME}`, `${env:NAME:-default}` and `${secret:env:NAME}`, `${secret:file:PATH}` inside text values.
//!
//! The rule: only after parsing and only in values, so that a variable can never change the shape of a file; what does not resolve
//! is a mistake with its place, never an empty text. A text with a secret in it becomes a [`Secret`] as a whole. `$${` is a plain `${`.

use std::{ops::Range, path::Path};

use super::{
    Secret, Variables,
    node::{Node, Value},
};
use crate::job::diagnostic::Diagnostic;

/// A secret file holds a word, not a disk.
const LONGEST_SECRET: u64 = 64 * 1024;

/// Resolves every text value of a tree.
pub fn resolve(node: &mut Node, folder: &Path, variables: Variables<'_>, mistakes: &mut Vec<Diagnostic>) {
    match &mut node.value {
        Value::List(nodes) => nodes.iter_mut().for_each(|node| resolve(node, folder, variables, mistakes)),
        Value::Map(entries) => entries.iter_mut().for_each(|(_, value)| resolve(value, folder, variables, mistakes)),
        Value::Text(text) if text.contains("${") => match Filled::of(text, &node.place, folder, variables) {
            Ok(Filled { text, secret: true }) => node.value = Value::Secret(Secret::new(&text)),
            Ok(filled) => *text = filled.text,
            Err(mistake) => mistakes.push(mistake),
        },
        _ => {}
    }
}

struct Filled {
    text: String,
    secret: bool,
}

impl Filled {
    fn of(text: &str, place: &Range<usize>, folder: &Path, variables: Variables<'_>) -> Result<Self, Diagnostic> {
        let mut filled = Self { text: String::new(), secret: false };
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            let before = &rest[..start];
            if let Some(escaped) = before.strip_suffix('$') {
                filled.text.push_str(escaped);
                filled.text.push_str("${");
                rest = &rest[start + 2..];
                continue;
            }
            filled.text.push_str(before);
            let inner = &rest[start + 2..];
            let Some(end) = inner.find('}') else {
                let open = Diagnostic::new("E0009", place.clone(), "a variable begins with `${` and has no `}`");
                return Err(open.help("write ${env:NAME}, or `$${` for a plain `${`"));
            };
            filled.variable(&inner[..end], place, folder, variables)?;
            rest = &inner[end + 1..];
        }
        filled.text.push_str(rest);
        Ok(filled)
    }

    fn variable(
        &mut self,
        inner: &str,
        place: &Range<usize>,
        folder: &Path,
        variables: Variables<'_>,
    ) -> Result<(), Diagnostic> {
        let missing = |name: &str| {
            let message = format!("the environment variable `{name}` is not set");
            Diagnostic::new("E0008", place.clone(), message).help(format!("set it, or write ${{env:{name}:-default}}"))
        };
        if let Some(name) = inner.strip_prefix("env:") {
            let (name, default) = name.split_once(":-").map_or((name, None), |(name, default)| (name, Some(default)));
            let value = variables(name).or_else(|| default.map(str::to_owned)).ok_or_else(|| missing(name))?;
            self.text.push_str(&value);
        } else if let Some(name) = inner.strip_prefix("secret:env:") {
            self.secret = true;
            self.text.push_str(&variables(name).ok_or_else(|| missing(name).help("set it"))?);
        } else if let Some(path) = inner.strip_prefix("secret:file:") {
            self.secret = true;
            self.text.push_str(&secret_file(&folder.join(path)).map_err(|why| {
                let message = format!("the secret file `{path}` cannot be read: {why}");
                Diagnostic::new("E0008", place.clone(), message).help("a path is relative to the job file")
            })?);
        } else {
            let unknown = Diagnostic::new("E0009", place.clone(), format!("`${{{inner}}}` is no variable"));
            return Err(
                unknown.help("write ${env:NAME}, ${env:NAME:-default}, ${secret:env:NAME} or ${secret:file:PATH}")
            );
        }
        Ok(())
    }
}

fn secret_file(path: &Path) -> Result<String, String> {
    use std::io::Read;
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    file.take(LONGEST_SECRET + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > LONGEST_SECRET {
        return Err("it is longer than 64 KiB".into());
    }
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn fill(text: &str) -> Result<Filled, Diagnostic> {
        Filled::of(text, &(0..1), Path::new("."), &|name| (name == "HOST").then(|| "kinesis".to_owned()))
    }

    #[test]
    fn variables_defaults_escapes_and_secrets() {
        assert_eq!(fill("http://${env:HOST}:${env:PORT:-80}/").unwrap().text, "http://kinesis:80/");
        assert_eq!(fill("$${env:HOST}").unwrap().text, "${env:HOST}");
        assert!(fill("${secret:env:HOST}").unwrap().secret);
    }

    #[test]
    fn what_does_not_resolve_is_a_mistake() {
        for (text, code) in
            [("${env:NO}", "E0008"), ("${env:NO", "E0009"), ("${NO}", "E0009"), ("${secret:file:/no/such}", "E0008")]
        {
            assert_eq!(fill(text).err().unwrap().code, code, "{text}");
        }
    }
}
