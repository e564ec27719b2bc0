//! `tests:` of a job file: records and watermarks in, expected rows and rejects out.

use std::{collections::BTreeMap, ops::Range};

use super::{
    Check,
    quantity::timestamp_us,
    wiring::{Draft, DraftKind},
};
use crate::job::{
    diagnostic::Diagnostic,
    file::{raw, read::At},
    graph::{Test, TestBody, TestInput},
};

impl Check<'_> {
    pub(super) fn tests(&self, drafts: &[Draft<'_>]) -> Vec<Test> {
        let Some((tests, _)) = self.given(&self.file.raw.tests) else { return Vec::new() };
        tests.iter().filter_map(|test| self.test(test.value.as_ref()?, &test.place, drafts)).collect()
    }

    fn test(&self, test: &raw::Test, place: &Range<usize>, drafts: &[Draft<'_>]) -> Option<Test> {
        let owner = test.name.as_ref().map_or(place.start..place.start, |name| name.place.clone());
        let read = |setting: &Option<At<String>>| setting.as_ref().and_then(|at| at.value.clone());
        for (key, missing) in [("name", test.name.is_none()), ("input", test.input.is_none())] {
            if missing {
                self.report(Diagnostic::new("E0005", owner.clone(), format!("the key `{key}` is missing in a test")));
            }
        }
        let mut input = Vec::new();
        for one in test.input.as_ref()?.value.as_ref()? {
            input.extend(one.value.as_ref().and_then(|raw| self.test_input(raw, &one.place, drafts)));
        }
        let mut expect = Vec::new();
        for (name, rows) in test.expect.iter().filter_map(|at| at.value.as_ref()).flat_map(|named| &named.0) {
            let (Some(text), Some(rows)) = (&name.value, &rows.value) else { continue };
            let node = self.test_node(text, &name.place, drafts, |kind| !matches!(kind, Some(DraftKind::Source(..))));
            let objects = rows.iter().filter_map(|row| {
                let value = row.value.as_ref()?;
                if !value.is_object() {
                    let mistake = Diagnostic::new("E0701", row.place.clone(), "an expected row is a map of fields");
                    self.report(mistake);
                }
                Some(value.clone())
            });
            let objects = objects.collect();
            expect.extend(node.map(|node| (node, objects)));
        }
        let rejects =
            test.rejects.iter().filter_map(|at| at.value.as_ref()).flatten().filter_map(|at| at.value.as_ref());
        let rejects = rejects.map(|reject| (read(&reject.step), read(&reject.contains).unwrap_or_default())).collect();
        let answers = self.answers(test);
        Some(Test { name: read(&test.name)?, place: owner, input, answers, expect, rejects })
    }

    fn test_input(&self, raw: &raw::TestInput, place: &Range<usize>, drafts: &[Draft<'_>]) -> Option<TestInput> {
        let is_source = |kind: &Option<DraftKind<'_>>| matches!(kind, Some(DraftKind::Source(..)));
        let named = match raw.source.as_ref() {
            Some(at) => Some(self.test_node(at.value.as_ref()?, &at.place, drafts, is_source)?),
            None => None,
        };
        let time = |setting: &Option<At<String>>| {
            let at = setting.as_ref()?;
            timestamp_us(at.value.as_ref()?)
                .map_err(|why| self.report(Diagnostic::new("E0103", at.place.clone(), why)))
                .ok()
        };
        let keys = [
            ("record", raw.record.as_ref().map(|at| &at.place)),
            ("text", raw.text.as_ref().map(|at| &at.place)),
            ("watermark", raw.watermark.as_ref().map(|at| &at.place)),
        ];
        let which = self.exactly_one("an input of a test", &(place.start..place.start + 1), &keys)?;
        if which == 2 {
            return Some(TestInput::Watermark { source: named, us: time(&raw.watermark)? });
        }
        let source = named.or_else(|| self.only_source(drafts, place))?;
        let body = match which {
            0 => TestBody::Fields(raw.record.as_ref()?.value.clone()?),
            _ => TestBody::Text(raw.text.as_ref()?.value.clone()?),
        };
        let key = raw.key.as_ref().and_then(|at| at.value.clone()).unwrap_or_default();
        Some(TestInput::Record { source, body, key, at_us: time(&raw.at) })
    }

    fn only_source(&self, drafts: &[Draft<'_>], place: &Range<usize>) -> Option<usize> {
        let mut sources = (0..drafts.len()).filter(|index| matches!(drafts[*index].kind, Some(DraftKind::Source(..))));
        match (sources.next(), sources.next()) {
            (Some(only), None) => Some(only),
            (Some(_), Some(_)) => {
                let mistake = Diagnostic::new("E0701", place.start..place.start + 1, "the job has several sources");
                self.report(mistake.help("say which one with `source: NAME`"));
                None
            }
            _ => None,
        }
    }

    fn test_node(
        &self,
        name: &str,
        place: &Range<usize>,
        drafts: &[Draft<'_>],
        fits: impl Fn(&Option<DraftKind<'_>>) -> bool,
    ) -> Option<usize> {
        let found = drafts.iter().position(|draft| draft.name == name && (draft.kind.is_none() || fits(&draft.kind)));
        if found.is_none() {
            let mistake = Diagnostic::new("E0701", place.clone(), format!("`{name}` cannot stand here in a test"));
            self.report(mistake.suggest(name, drafts.iter().filter(|draft| fits(&draft.kind)).map(|draft| draft.name)));
        }
        found
    }
}

impl Test {
    /// With the indices of the graph.
    pub(super) fn renumbered(mut self, at: &BTreeMap<usize, usize>) -> Self {
        let new = |old: usize| at.get(&old).copied().unwrap_or(old);
        for input in &mut self.input {
            match input {
                TestInput::Record { source, .. } => *source = new(*source),
                TestInput::Watermark { source, .. } => *source = source.map(new),
            }
        }
        for (node, _) in &mut self.expect {
            *node = new(*node);
        }
        self
    }
}
