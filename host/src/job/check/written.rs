//! The schemas that results are written with.
//!
//! The rule: a result that could not be written, or a schema that its subject would not take, is refused before anything runs: every column has
//! a field that holds it, the schema is registered or may be, and follows the versions before it under the mode of the subject.
//! Left to others: writing (`sink::avro`), registering (`build`).

use arrow::datatypes::Schema;
use pelton_schema::{AvroSchema, Mode, Verdict};

use super::{
    Check,
    typing::{Columns, Types},
    wiring::{Draft, DraftKind},
};
use crate::{
    job::{
        diagnostic::Diagnostic,
        file::{
            raw,
            read::{At, Named},
        },
        graph::{AvroSink, SinkKind},
    },
    sink::avro,
};

/// Code, message and help.
type Refused = (&'static str, String, String);

impl<'a> Check<'a> {
    /// Finds the schema of every sink that writes Avro.
    pub(super) fn written(&self, drafts: &mut [Draft<'a>], order: &[usize], typed: &Types) {
        let Some((sinks, _)) = self.given(&self.file.raw.sinks) else { return };
        for index in order {
            let draft = &mut drafts[*index];
            let (name, arriving) = (draft.name, typed.get(index).and_then(|(columns, _)| columns.first()));
            let Some(Columns::Known(rows)) = arriving else { continue };
            let Some(DraftKind::Sink(kind, _)) = &mut draft.kind else { continue };
            let (stream, place) = match kind {
                SinkKind::Kinesis { stream, avro, .. } => (stream.clone(), avro),
                SinkKind::Firehose { delivery_stream, avro, .. } => (delivery_stream.clone(), avro),
                _ => continue,
            };
            if let Some(settings) = self.avro_of(sinks, name) {
                *place = self.avro_sink(name, &stream, settings, rows);
            }
        }
    }

    fn avro_of(&self, sinks: &'a Named<raw::Sink>, name: &str) -> Option<&'a At<raw::AvroSink>> {
        let (_, sink) = sinks.0.iter().find(|(known, _)| known.value.as_deref() == Some(name))?;
        match self.given(&sink.value.as_ref()?.format)?.0 {
            raw::SinkFormat::Avro(settings) => Some(settings),
            raw::SinkFormat::Json => None,
        }
    }

    fn avro_sink(&self, name: &str, stream: &str, settings: &'a At<raw::AvroSink>, rows: &Schema) -> Option<AvroSink> {
        let (raw, owner) = (settings.value.as_ref()?, &settings.place);
        if self.file.raw.registry.is_none() {
            let message = "Avro results name their schema by an id, and the job has no `registry`";
            let mistake = Diagnostic::new("E0005", owner.clone(), message);
            self.report(mistake.help("add `registry: { confluent: { url: \"http://localhost:8081\" } }`"));
            return None;
        }
        let refuse = |(code, message, help): Refused| {
            self.report(Diagnostic::new(code, owner.clone(), message).help(help));
        };
        let given = match &raw.schema {
            Some(schema) => Some(self.reader_schema(schema)?),
            None => None,
        };
        let (text, schema) = schema_of(name, given, rows).map_err(refuse).ok()?;
        let record = schema.full_name().unwrap_or(name);
        let strategy = self.given(&raw.strategy).map_or(raw::Strategy::Stream, |(strategy, _)| *strategy);
        let subject = self.text(&raw.subject).unwrap_or_else(|| match strategy {
            raw::Strategy::Stream => format!("{stream}-value"),
            raw::Strategy::Record => record.to_owned(),
            raw::Strategy::StreamRecord => format!("{stream}-{record}"),
        });
        let auto_register = self.given(&raw.auto_register).is_some_and(|(auto, _)| *auto);
        let mode = self.given(&raw.compatibility).map(|(mode, _)| mode.mode());
        match self.lets_in(&subject, &text, &schema, auto_register, mode) {
            Ok(None) => {}
            Ok(Some(refused)) => {
                refuse(refused);
                return None;
            }
            // It is asked again before anything is written.
            Err(why) => self.note(format!("`{name}`: the subject `{subject}` was not looked at: {why}")),
        }
        Some(AvroSink { subject, schema: text, auto_register })
    }

    /// Why a subject neither has a schema nor will take it; nothing where it does. The error says why nobody knows.
    fn lets_in(
        &self,
        subject: &str,
        text: &str,
        schema: &AvroSchema,
        auto_register: bool,
        mode: Option<Mode>,
    ) -> Result<Option<Refused>, String> {
        if self.lookup.registered(subject, text)?.is_some() {
            return Ok(None);
        }
        if !auto_register {
            let message = format!("the schema of the results is not registered under `{subject}`: {text}");
            let help = format!("register it (`pelton schema register {subject} FILE`), or say `auto_register: true`");
            return Ok(Some(("E0604", message, help)));
        }
        let mode = match mode {
            Some(mode) => mode,
            None => self.lookup.mode(subject)?.unwrap_or_default(),
        };
        let mut older = Vec::new();
        let numbers = self.lookup.versions(subject)?;
        let reach = if mode.is_transitive() { usize::MAX } else { 1 };
        for number in numbers.into_iter().rev().take(reach) {
            older.extend(self.lookup.version(subject, number)?.map(|version| (number, version)));
        }
        older.reverse();
        let schemas: Vec<&AvroSchema> = older.iter().map(|(_, version)| &*version.schema).collect();
        let why = match mode.check(schema, &schemas) {
            Verdict::Compatible => return Ok(None),
            Verdict::Closed => "it takes no further versions".to_owned(),
            Verdict::Broken(violations) => violations.first().map_or_else(String::new, |violation| {
                let (number, _) = older[violation.old];
                let first = violation.mismatches.first().map(ToString::to_string).unwrap_or_default();
                format!("against version {number} it is not {}: {first}", violation.direction)
            }),
        };
        let message = format!("the schema of the results breaks the mode `{mode}` of `{subject}`: {why}");
        let help = "change the results so that old readers go on, or write them under another subject".to_owned();
        Ok(Some(("E0606", message, help)))
    }
}

/// The schema of the results: the one that is given, or one made of their columns.
fn schema_of(name: &str, given: Option<String>, rows: &Schema) -> Result<(String, AvroSchema), Refused> {
    let change = "change the schema, or the fields with a `select:` step before".to_owned();
    let text = match given {
        Some(text) => text,
        None => avro::derive(name, rows).map_err(|why| ("E0605", why, change.clone()))?.to_string(),
    };
    let bad = |bad| ("E0605", format!("the schema of the results cannot be used: {bad}"), "mend the schema".to_owned());
    let schema = AvroSchema::parse_strict(&text, &[]).map_err(bad)?;
    let unfit = |why| ("E0605", format!("results cannot be written with this schema: {why}"), change);
    avro::Encoder::new(&schema, rows, Vec::new()).map_err(unfit)?;
    Ok((text, schema))
}
