//! Sources: where from, which bytes, which time.

use std::{ops::Range, sync::Arc, time::Duration};

use arrow::datatypes::{DataType, Field, Schema};
use pelton_schema::AvroSchema;
use serde_json::Value as Json;

use super::{
    Check, UNKNOWN_SUBJECT,
    quantity::{duration, field_type, timestamp_us},
    typing::Columns,
    wiring::{Draft, DraftKind},
};
use crate::{
    decode::{
        FieldPath, WantedField, avro,
        columns::arrow_schema,
        registry::{Found, Registered, SchemaId},
    },
    job::{
        diagnostic::Diagnostic,
        file::{
            raw,
            read::{At, Named},
            read_text,
        },
        graph::{Avro, Aws, Compatibility, FileFormat, Format, Misplaced, OnIncompatible, Source, SourceKind, Time},
        interface::{KINDS, type_name},
    },
    source::Start,
};

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);

impl<'a> Check<'a> {
    pub(super) fn sources(&self, sources: &'a Named<raw::Source>) -> Vec<Draft<'a>> {
        let mut drafts: Vec<Draft<'a>> =
            sources.0.iter().filter_map(|(name, source)| self.source(name, source)).collect();
        self.part_consumers(sources, &mut drafts);
        drafts
    }

    /// A consumer reads a shard once at a time: sources that share a stream have one each, by the source's name where none is given.
    fn part_consumers(&self, sources: &'a Named<raw::Source>, drafts: &mut [Draft<'a>]) {
        let read = |draft: &Draft<'a>| match &draft.kind {
            Some(DraftKind::Source(Source { from: SourceKind::Kinesis { stream, consumer, aws, .. }, .. }, _)) => {
                Some((stream.clone(), consumer.clone(), aws.clone()))
            }
            _ => None,
        };
        let given = |name: &str| {
            let (_, source) = sources.0.iter().find(|(known, _)| known.value.as_deref() == Some(name))?;
            self.given(&self.given(&source.value.as_ref()?.kinesis)?.0.consumer)
        };
        let reads: Vec<_> = drafts.iter().map(read).collect();
        for (index, draft) in drafts.iter_mut().enumerate() {
            let same = |other: usize| other != index && reads[other].is_some() && reads[other] == reads[index];
            let Some(other) = (0..reads.len()).find(|other| same(*other)) else { continue };
            match (given(draft.name), &mut draft.kind) {
                (None, Some(DraftKind::Source(Source { from: SourceKind::Kinesis { consumer, .. }, .. }, _))) => {
                    *consumer = format!("{consumer}-{}", draft.name);
                }
                (Some((consumer, place)), _) if other < index => {
                    let message = format!("another source reads the same stream as the consumer `{consumer}`");
                    self.report(
                        Diagnostic::new("E0309", place, message).help("give each source a consumer of its own"),
                    );
                }
                _ => {}
            }
        }
    }

    fn source(&self, name: &'a At<String>, source: &'a At<raw::Source>) -> Option<Draft<'a>> {
        let text = name.value.as_ref()?;
        self.name(text, &name.place);
        let kind = source.value.as_ref().and_then(|source| self.source_kind(source, &name.place));
        Some(Draft::new(text, name.place.clone(), kind, Vec::new()))
    }

    fn source_kind(&self, source: &'a raw::Source, owner: &Range<usize>) -> Option<DraftKind<'a>> {
        let (format, columns) = self.format(source)?;
        let time = self.time(source, &columns);
        if let Some((field, place)) = self.given(&source.partition_key)
            && let Some(found) = self.field_of(&columns, field, &place)
            && !matches!(found.data_type(), DataType::Utf8 | DataType::Int32 | DataType::Int64)
        {
            let message = format!("`{field}` is {}, which is no partition key", type_name(found.data_type()));
            self.report(Diagnostic::new("E0409", place, message).help("partition keys are text or whole numbers"));
        }
        let from = self.source_from(source, owner)?;
        let partition_key = self.text(&source.partition_key);
        let wanted = Arc::new(Schema::empty());
        let misplaced =
            self.given(&source.explicit_hash_key).map_or_else(Misplaced::default, |(misplaced, _)| *misplaced);
        let readers = Vec::new();
        Some(DraftKind::Source(Source { from, format, time, partition_key, misplaced, readers, wanted }, columns))
    }

    fn source_from(&self, source: &'a raw::Source, owner: &Range<usize>) -> Option<SourceKind> {
        let keys = [
            ("kinesis", source.kinesis.as_ref().map(|at| &at.place)),
            ("file", source.file.as_ref().map(|at| &at.place)),
            ("memory", source.memory.as_ref().map(|at| &at.place)),
        ];
        match self.exactly_one("a source", owner, &keys)? {
            0 => self.kinesis_source(self.given(&source.kinesis)?.0, owner),
            1 => {
                let file = self.given(&source.file)?.0;
                let path = self.existing(&file.path, owner);
                let format = self.given(&file.format).map_or(FileFormat::JsonLines, |(format, _)| *format);
                Some(SourceKind::File { path: path?, format, key: self.text(&file.key) })
            }
            _ => {
                let (shards, place) = self
                    .given(&source.memory)?
                    .0
                    .shards
                    .as_ref()
                    .map_or((1, 0..0), |at| (at.value.unwrap_or(1), at.place.clone()));
                let Ok(shards @ 1..=10_000) = u32::try_from(shards) else {
                    self.report(Diagnostic::new(
                        "E0104",
                        place,
                        format!("`shards` is {shards}: at least 1, at most 10000"),
                    ));
                    return None;
                };
                Some(SourceKind::Memory { shards })
            }
        }
    }

    fn kinesis_source(&self, kinesis: &'a raw::KinesisSource, owner: &Range<usize>) -> Option<SourceKind> {
        if let Some((false, place)) = self.given(&kinesis.fan_out) {
            let mistake = Diagnostic::new("E0104", place, "reading without enhanced fan-out is not supported");
            self.report(mistake.help("leave `fan_out` out, or say `true`"));
        }
        let start = match self.given(&kinesis.start).map(|(start, _)| start) {
            None | Some(raw::Start::TrimHorizon) => Start::TrimHorizon,
            Some(raw::Start::Latest) => Start::Latest,
            Some(raw::Start::At(time)) => match timestamp_us(time.value.as_ref()?) {
                Ok(us) => Start::At(us),
                Err(why) => {
                    self.report(Diagnostic::new("E0103", time.place.clone(), why));
                    return None;
                }
            },
        };
        let job = self.file.raw.job.as_ref().and_then(|job| job.value.as_deref()).unwrap_or("job");
        let consumer = self.text(&kinesis.consumer).unwrap_or_else(|| format!("pelton-{job}"));
        let aws = self.aws(&kinesis.endpoint, &kinesis.region, &kinesis.profile, &kinesis.role);
        let stream = self.needed_text(&kinesis.stream, "stream", owner)?;
        Some(SourceKind::Kinesis { stream, start, consumer, aws })
    }

    pub(super) fn aws(
        &self,
        endpoint: &'a Option<At<String>>,
        region: &'a Option<At<String>>,
        profile: &'a Option<At<String>>,
        role: &'a Option<At<String>>,
    ) -> Aws {
        if let Some((endpoint, place)) = self.given(endpoint) {
            self.url(endpoint, place);
        }
        Aws {
            endpoint: self.text(endpoint),
            region: self.text(region),
            profile: self.text(profile),
            role: self.text(role),
        }
    }

    pub(super) fn url(&self, url: &str, place: Range<usize>) {
        let host = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://"));
        if host.is_none_or(|host| host.is_empty() || host.starts_with('/') || host.contains(char::is_whitespace)) {
            let mistake = Diagnostic::new("E0104", place, format!("`{url}` is no address"));
            self.report(mistake.help("write it like http://localhost:4567"));
        }
    }

    fn format(&self, source: &'a raw::Source) -> Option<(Format, Columns)> {
        let one =
            |name: &str, data_type| Columns::Known(Arc::new(Schema::new(vec![Field::new(name, data_type, false)])));
        let Some(format) = &source.format else { return Some((Format::Json, Columns::Open)) };
        Some(match format.value.as_ref()? {
            raw::Format::Json(json) => (Format::Json, self.json_columns(json.value.as_ref()?)),
            raw::Format::Raw => (Format::Raw, one("payload", DataType::Binary)),
            raw::Format::Text => (Format::Text, one("payload", DataType::Utf8)),
            raw::Format::Avro(avro) => return self.avro(avro.value.as_ref()?, &format.place),
        })
    }

    fn json_columns(&self, json: &'a raw::JsonFormat) -> Columns {
        let Some((fields, _)) = self.given(&json.fields) else {
            return if json.fields.is_some() { Columns::Broken } else { Columns::Open };
        };
        let mut columns = Vec::new();
        for (name, kind) in &fields.0 {
            let (Some(name), Some(text)) = (&name.value, &kind.value) else { return Columns::Broken };
            match field_type(text) {
                Some((kind, optional)) => columns.push(WantedField { path: FieldPath::new(name), kind, optional }),
                None => {
                    let message = format!("`{text}` is no type");
                    let mistake = Diagnostic::new("E0106", kind.place.clone(), message);
                    self.report(mistake.suggest(text.trim_end_matches('?'), KINDS.iter().map(|(name, _)| *name)));
                    return Columns::Broken;
                }
            }
        }
        Columns::Known(arrow_schema(&columns))
    }

    fn avro(&self, avro: &'a raw::AvroFormat, owner: &Range<usize>) -> Option<(Format, Columns)> {
        if self.file.raw.registry.is_none() {
            let mistake = Diagnostic::new(
                "E0005",
                owner.clone(),
                "Avro records name their schema by an id, and the job has no `registry`",
            );
            self.report(mistake.help("add `registry: { confluent: { url: \"http://localhost:8081\" } }`"));
        }
        let on_incompatible = self.given(&avro.on_incompatible);
        if let Some((OnIncompatible::Park, place)) = &on_incompatible {
            let mistake = Diagnostic::new("E0104", place.clone(), "records cannot be parked yet");
            self.report(mistake.help("say `stop` or `dead_letter`"));
        }
        let on_incompatible = on_incompatible.map_or(OnIncompatible::Stop, |(what, _)| *what);
        let compatibility = self.given(&avro.compatibility).map_or(Compatibility::Backward, |(mode, _)| *mode);
        let schema = match &avro.schema {
            Some(schema) => Some(self.reader_schema(schema)?),
            None => None,
        };
        let subject = match &schema {
            Some(_) => self.text(&avro.subject),
            None => Some(self.needed_text(&avro.subject, "subject", owner)?),
        };
        let place = avro.schema.as_ref().map(|at| at.place.clone());
        let place = place.or_else(|| avro.subject.as_ref().map(|at| at.place.clone())).unwrap_or(owner.clone());
        let found = match (&schema, &subject) {
            (None, _) if self.file.raw.registry.is_none() => return None,
            (Some(text), _) => self.own_schema(subject.as_deref(), text),
            (None, Some(subject)) => self.lookup.latest(subject),
            (None, None) => return None,
        };
        let typed = found.and_then(|reader| Ok((avro_columns(&reader.schema)?, reader)));
        match typed {
            Ok((columns, reader)) => {
                let avro = Avro { subject, compatibility, on_incompatible, schema, reader };
                Some((Format::Avro(avro), columns))
            }
            Err(why) => {
                let of = subject.map_or_else(|| "the schema".to_owned(), |subject| format!("the subject `{subject}`"));
                let mistake = Diagnostic::new(UNKNOWN_SUBJECT, place, format!("no fields are known for {of}: {why}"));
                self.report(mistake.help("register the schema, or give the reader schema with `schema:`"));
                None
            }
        }
    }

    /// A schema that the job gives, as the version of the subject that it is, if it is one.
    fn own_schema(&self, subject: Option<&str>, text: &str) -> Result<Arc<Registered>, String> {
        let schema = AvroSchema::parse_strict(text, &[]).map_err(|bad| bad.to_string())?;
        let known = subject.and_then(|subject| self.lookup.registered(subject, text).ok().flatten());
        match known
            .map_or_else(|| Registered::unregistered(SchemaId::Fingerprint(schema.fingerprint()), text), Found::Schema)
        {
            Found::Schema(registered) => Ok(registered),
            _ => Err("it cannot be parsed".to_owned()),
        }
    }

    /// A path of a file, or the schema itself as YAML or as JSON text.
    pub(super) fn reader_schema(&self, schema: &'a At<Json>) -> Option<String> {
        match schema.value.as_ref()? {
            Json::String(text) if text.trim_start().starts_with(['{', '[', '"']) => Some(text.clone()),
            Json::String(path) => match read_text(&self.file.folder.join(path)) {
                Ok(text) => Some(text),
                Err(error) => {
                    let mistake = Diagnostic::new(
                        "E0501",
                        schema.place.clone(),
                        format!("the schema `{path}` cannot be read: {error}"),
                    );
                    self.report(mistake.help("a path is relative to the job file"));
                    None
                }
            },
            inline => Some(inline.to_string()),
        }
    }

    fn time(&self, source: &'a raw::Source, columns: &Columns) -> Option<Time> {
        let (time, owner) = self.given(&source.time)?;
        let out_of_order = self.quantity(&time.out_of_order, "E0101", Duration::ZERO, duration);
        let max_ahead = self.quantity(&time.max_ahead, "E0101", HOUR, duration);
        let idle = self.quantity(&time.idle, "E0101", Some(MINUTE), |text| match text {
            "wait" => Ok(None),
            text => duration(text).map(Some).map_err(|why| format!("{why}, or `wait`")),
        });
        let field = self.needed_text(&time.field, "field", &owner)?;
        let place = time.field.as_ref()?.place.clone();
        if let Some(found) = self.field_of(columns, &field, &place)
            && !matches!(found.data_type(), DataType::Timestamp(..) | DataType::Int64)
        {
            let message = format!(
                "the field `{field}` is {}, and event time is a timestamp or an int64 of microseconds since 1970",
                type_name(found.data_type())
            );
            self.report(Diagnostic::new("E0405", place, message));
        }
        Some(Time { field, out_of_order, max_ahead, idle })
    }

    /// A path of a file that must be there.
    pub(super) fn existing(&self, path: &'a Option<At<String>>, owner: &Range<usize>) -> Option<std::path::PathBuf> {
        let text = self.needed_text(path, "path", owner)?;
        let place = path.as_ref()?.place.clone();
        self.existing_file(&text, place)
    }

    pub(super) fn existing_file(&self, text: &str, place: Range<usize>) -> Option<std::path::PathBuf> {
        let path = self.file.folder.join(text);
        match std::fs::metadata(&path) {
            Ok(meta) if meta.is_file() => return Some(path),
            Ok(_) => self.report(Diagnostic::new("E0501", place, format!("`{text}` is a folder, not a file"))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mistake = Diagnostic::new("E0501", place, format!("there is no file `{text}`"));
                self.report(mistake.help("a path is relative to the job file"));
            }
            Err(error) => self.report(Diagnostic::new("E0501", place, format!("`{text}` cannot be read: {error}"))),
        }
        None
    }
}

/// The columns of every field of a schema.
fn avro_columns(schema: &AvroSchema) -> Result<Columns, String> {
    let wanted = avro::infer(schema);
    avro::check(schema, &wanted).map_err(|failed| failed.to_string())?;
    Ok(Columns::Known(arrow_schema(&wanted)))
}
