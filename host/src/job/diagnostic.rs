//! A mistake in a job file, and how it is shown: code, place, the offending text underlined, what to do.
//!
//! The rule: a code never changes its meaning, and a place is always a range of the file's text, so that people and editors see
//! the same thing. Codes: E00xx reading, E01xx values, E02xx wiring, E03xx steps, E04xx expressions and fields, E05xx plugins and
//! files, E06xx schemas, E07xx tests.

use std::{ops::Range, sync::Arc};

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet, renderer::DecorStyle};
use serde_json::json;

use crate::error::{Error, Kind};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// stable: `E0003`
    pub code: &'static str,
    /// what is wrong, in words
    pub message: String,
    /// bytes of the file's text
    pub place: Range<usize>,
    /// a few words below the underlined text
    pub label: String,
    /// what to do about it
    pub help: Option<String>,
    /// a second place that belongs to it, with words
    pub related: Option<(Range<usize>, String)>,
}

impl Diagnostic {
    /// A mistake at a place.
    pub fn new(code: &'static str, place: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), place, label: String::new(), help: None, related: None }
    }

    /// With words below the underlined text.
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// With what to do.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// With a second place.
    pub fn related(mut self, place: Range<usize>, label: impl Into<String>) -> Self {
        self.related = Some((place, label.into()));
        self
    }

    /// With "did you mean" if a candidate is close, else with the candidates if they are few.
    pub fn suggest<'a>(self, wrong: &str, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let candidates: Vec<&str> = candidates.into_iter().collect();
        if let Some(near) = nearest(wrong, &candidates) {
            return self.help(format!("did you mean `{near}`?"));
        }
        match candidates.len() {
            0 => self,
            1..=16 => self.help(format!("there is: {}", candidates.join(", "))),
            more => self.help(format!("there are {more}: {}, ...", candidates[..16].join(", "))),
        }
    }
}

/// Every mistake of one file, in the order of the file.
#[derive(Clone, Debug)]
pub struct Report {
    /// the name shown
    pub path: String,
    /// the text of the file
    pub text: Arc<str>,
    /// at least one
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Sorts by place and drops repeats.
    pub fn new(path: &str, text: Arc<str>, mut diagnostics: Vec<Diagnostic>) -> Self {
        diagnostics.sort_by(|a, b| (a.place.start, a.code, &a.message).cmp(&(b.place.start, b.code, &b.message)));
        diagnostics.dedup();
        Self { path: path.to_owned(), text, diagnostics }
    }

    /// As rustc would print it, and how many there are.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text.push_str(&renderer.render(&[self.group(diagnostic)]));
            text.push_str("\n\n");
        }
        let count = self.diagnostics.len();
        text.push_str(&format!("{}: {count} {}\n", self.path, if count == 1 { "mistake" } else { "mistakes" }));
        text
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let primary = AnnotationKind::Primary.span(self.within(&diagnostic.place)).label(diagnostic.label.as_str());
        let mut snippet = Snippet::source(&*self.text).line_start(1).path(self.path.as_str()).annotation(primary);
        if let Some((place, label)) = &diagnostic.related {
            snippet = snippet.annotation(AnnotationKind::Context.span(self.within(place)).label(label.as_str()));
        }
        let mut group = Level::ERROR.primary_title(&diagnostic.message).id(diagnostic.code).element(snippet);
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help));
        }
        group
    }

    /// A range that lies in the text, on character boundaries, whatever the parser said.
    fn within(&self, place: &Range<usize>) -> Range<usize> {
        let start = self.text.floor_char_boundary(place.start.min(self.text.len()));
        let end = self.text.floor_char_boundary(place.end.clamp(start, self.text.len()));
        start..end
    }

    /// Line and column, both from 1; a column counts characters.
    pub fn line_and_column(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..self.text.floor_char_boundary(at.min(self.text.len()))];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// For programs.
    pub fn to_json(&self) -> serde_json::Value {
        let diagnostics: Vec<_> = self
            .diagnostics
            .iter()
            .map(|diagnostic| {
                let (line, column) = self.line_and_column(diagnostic.place.start);
                let (end_line, end_column) = self.line_and_column(diagnostic.place.end);
                json!({
                    "code": diagnostic.code,
                    "message": diagnostic.message,
                    "file": self.path,
                    "line": line,
                    "column": column,
                    "end_line": end_line,
                    "end_column": end_column,
                    "label": diagnostic.label,
                    "help": diagnostic.help,
                })
            })
            .collect();
        json!({ "file": self.path, "mistakes": diagnostics })
    }
}

impl From<Report> for Error {
    fn from(report: Report) -> Self {
        Self::new(Kind::Config, report.render(false))
    }
}

/// The candidate that a person probably meant.
pub fn nearest<'a>(wrong: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let limit = (wrong.chars().count() / 3).clamp(1, 4);
    let lower = wrong.to_lowercase();
    candidates
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Edits between two texts, a swap of neighbours counted as one. Long texts are never near each other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().max(b.len()) > 64 {
        return usize::MAX;
    }
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1);
            best = best.min(rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        let names = ["sources", "steps", "sinks", "checkpoint"];
        assert_eq!(nearest("sourecs", &names), Some("sources"));
        assert_eq!(nearest("Sinks", &names), Some("sinks"));
        assert_eq!(nearest("kafka", &names), None);
    }

    #[test]
    fn a_place_outside_the_text_does_not_panic() {
        let report = Report::new("job.yaml", "é\n".into(), vec![Diagnostic::new("E0001", 1..900, "x")]);
        assert!(report.render(false).contains("E0001"));
        assert!(report.render(true).contains("E0001"));
        assert_eq!(report.to_json()["mistakes"][0]["line"], 1);
    }
}
