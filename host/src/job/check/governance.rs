//! The schemas that records are written with, against what the job reads of them.
//!
//! The rule: **what would be refused at run time is refused before**: the job's part of the reader schema must read what the versions in the
//! reach of the mode write, and the newest version must follow those before it. A refusal is a table: which step, which field, what is
//! wanted, what is written, since which version. What may come, and is not wrong yet, is a note.
//! Left to others: the verdict on one schema (`decode::avro::Contract`, `pelton_schema`).

use std::{fmt::Write as _, ops::Range, sync::Arc};

use pelton_schema::{AvroSchema, Mismatch, Mode, mismatches};

use super::{
    Check,
    typing::{Columns, Types},
    wiring::{Draft, DraftKind},
};
use crate::{
    decode::{
        FieldPath, WantedField,
        avro::{self, Contract},
        registry::Registered,
    },
    job::{
        diagnostic::Diagnostic,
        graph::{Avro, Format, OnIncompatible},
    },
};

/// Old versions that are looked at for notes.
const MOST_NOTED: usize = 50;

/// One field that a step reads and a version does not give.
struct Row {
    step: String,
    field: String,
    wanted: String,
    written: String,
    since: u32,
}

/// A source of Avro while it is looked at.
struct Subject<'a> {
    name: &'a str,
    source: &'a str,
    mode: Mode,
    reader: &'a Registered,
    /// what the job reads of it
    part: AvroSchema,
    wanted: Vec<WantedField>,
    /// step and field
    readers: Vec<(String, FieldPath)>,
    place: Range<usize>,
}

impl Avro {
    /// The terms of the source.
    pub fn contract(&self) -> Contract {
        Contract {
            mode: self.compatibility.mode(),
            subject: self.subject.as_deref().map(Arc::from),
            reader: Some(Arc::clone(&self.reader)),
            on_incompatible: match self.on_incompatible {
                OnIncompatible::DeadLetter => avro::OnIncompatible::DeadLetter,
                OnIncompatible::Stop | OnIncompatible::Park => avro::OnIncompatible::Stop,
            },
        }
    }
}

impl<'a> Check<'a> {
    /// Looks at the subjects of every source.
    pub(super) fn govern(&self, drafts: &mut [Draft<'a>], order: &[usize], typed: &Types) {
        for index in order {
            let found = readers(drafts, order, typed, *index);
            if let Some(DraftKind::Source(source, _)) = &mut drafts[*index].kind {
                source.readers = found;
            }
            let Some(DraftKind::Source(source, _)) = &drafts[*index].kind else { continue };
            let Format::Avro(avro) = &source.format else { continue };
            let (Some(name), true) = (avro.subject.as_deref(), self.file.raw.registry.is_some()) else { continue };
            let readers = source.readers.clone();
            let wanted = source.wanted_fields();
            let part = avro.reader.schema.project(wanted.iter().map(|field| &*field.path.0));
            let (mode, place) = (avro.compatibility.mode(), drafts[*index].place.clone());
            let subject =
                Subject { name, source: drafts[*index].name, mode, reader: &avro.reader, part, wanted, readers, place };
            if mode == Mode::None {
                self.note(format!(
                    "`{}`: nothing is checked of `{name}`: records that cannot be read are rejected one by one",
                    subject.source
                ));
                continue;
            }
            if let Err(why) = self.subject(&subject, &avro.contract()) {
                // With a schema of its own a job can be checked without the registry.
                self.note(format!("`{}`: the versions of `{name}` were not looked at: {why}", subject.source));
            }
        }
    }

    fn subject(&self, subject: &Subject<'_>, contract: &Contract) -> Result<(), String> {
        let numbers = self.lookup.versions(subject.name)?;
        let Some(newest) = numbers.last().copied() else { return Ok(()) };
        let mut versions: Vec<(u32, Arc<Registered>)> = Vec::new();
        for number in numbers.into_iter().rev().take(if subject.mode.is_transitive() { usize::MAX } else { MOST_NOTED })
        {
            versions.extend(self.lookup.version(subject.name, number)?.map(|version| (number, version)));
        }
        versions.reverse();
        let reach = if subject.mode.is_transitive() { 0 } else { newest };
        let unread: Vec<(u32, Vec<Mismatch>)> =
            versions.iter().map(|(number, version)| (*number, subject.unread(&version.schema))).collect();
        let (inside, outside): (Vec<_>, Vec<_>) =
            unread.iter().filter(|(_, found)| !found.is_empty()).partition(|(number, _)| *number >= reach);
        // Who makes dead letters of what cannot be read goes on: a job that runs must be able to start again.
        let stops = contract.on_incompatible == avro::OnIncompatible::Stop;
        let (inside, outside) = if stops { (inside, outside) } else { (Vec::new(), [outside, inside].concat()) };
        if inside.is_empty() && stops {
            self.follow(subject, contract, &versions);
        } else if stops {
            let rows: Vec<Row> =
                inside.iter().flat_map(|(number, found)| subject.rows(*number, found, &unread)).collect();
            self.report(refusal(subject, rows));
        }
        for (number, found) in outside {
            let first = found.first().map(ToString::to_string).unwrap_or_default();
            self.note(format!(
                "`{}`: version {number} of `{}` cannot be read, and {} its records: {first}",
                subject.source,
                subject.name,
                if stops { "the job stops before" } else { "dead letters are made of" },
            ));
        }
        if let Some(level) = self.lookup.mode(subject.name)?
            && !covers(level, subject.mode)
        {
            self.note(format!(
                "`{}`: the registry lets `{}` grow by `{level}`, and the job wants `{}`: a version that breaks it is noticed when its first record comes",
                subject.source, subject.name, subject.mode
            ));
        }
        Ok(())
    }

    /// Whether the newest version follows those before it.
    fn follow(&self, subject: &Subject<'_>, contract: &Contract, versions: &[(u32, Arc<Registered>)]) {
        let older: Vec<Arc<Registered>> = versions.iter().map(|(_, version)| Arc::clone(version)).collect();
        let Some((newest, older)) = older.split_last() else { return };
        if let Err(why) = contract.judge(Some(&subject.part), newest, older) {
            let mistake = Diagnostic::new(
                "E0603",
                subject.place.clone(),
                format!("the newest schema of `{}`: {why}", subject.name),
            );
            self.report(
                mistake.help("mend the schema in the registry, or name the mode by which it grows: `compatibility:`"),
            );
        }
    }
}

impl Subject<'_> {
    /// What a version does not give of what the job reads.
    fn unread(&self, version: &AvroSchema) -> Vec<Mismatch> {
        let found = mismatches(&self.part, version);
        if !found.is_empty() {
            return found;
        }
        match avro::reads(version, &self.part, &self.wanted) {
            Ok(()) => Vec::new(),
            Err(why) => vec![Mismatch {
                path: String::new(),
                rule: pelton_schema::Rule::Type,
                reader: self.reader.schema.title(),
                writer: why,
                mend: "name another field or type".to_owned(),
            }],
        }
    }

    /// A row for each step that reads what is not given.
    fn rows(&self, number: u32, found: &[Mismatch], unread: &[(u32, Vec<Mismatch>)]) -> Vec<Row> {
        let mut rows = Vec::new();
        for mismatch in found {
            // The first of the versions without a gap up to this one that do not give it either.
            let before = unread.iter().rev().skip_while(|(other, _)| *other > number);
            let is_so = |(_, found): &&(u32, Vec<Mismatch>)| found.iter().any(|other| other.path == mismatch.path);
            let since = before.take_while(is_so).last().map_or(number, |(other, _)| *other);
            let touches =
                |field: &str| mismatch.path.is_empty() || below(&mismatch.path, field) || below(field, &mismatch.path);
            for (step, field) in self.readers.iter().filter(|(_, field)| touches(&field.0)) {
                rows.push(Row {
                    step: step.clone(),
                    field: if mismatch.path.is_empty() { field.0.to_string() } else { mismatch.path.clone() },
                    wanted: mismatch.reader.clone(),
                    written: mismatch.writer.clone(),
                    since,
                });
            }
        }
        rows
    }
}

/// Whether a place is a path or inside of it.
fn below(place: &str, path: &str) -> bool {
    place.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '{', '<']))
}

/// Whether whoever keeps one mode keeps the other one too.
fn covers(level: Mode, wanted: Mode) -> bool {
    let directions = wanted.directions().iter().all(|direction| level.directions().contains(direction));
    level == Mode::Disabled
        || (wanted != Mode::Disabled && directions && (level.is_transitive() || !wanted.is_transitive()))
}

/// Every step that reads fields of a source as they are, also through steps that hand them on.
fn readers(drafts: &[Draft<'_>], order: &[usize], typed: &Types, source: usize) -> Vec<(String, FieldPath)> {
    let Some(DraftKind::Source(settings, _)) = &drafts[source].kind else { return Vec::new() };
    let mut carries = vec![(source, 0)];
    let mut found = Vec::new();
    let own = settings.time.iter().map(|time| &time.field).chain(&settings.partition_key);
    found.extend(own.map(|field| (drafts[source].name.to_owned(), FieldPath::new(field))));
    for index in order {
        let Some((columns, typed)) = typed.get(index) else { continue };
        let reads = drafts[*index].edges.iter().enumerate();
        let ports = reads.filter(|(_, edge)| carries.contains(&(edge.node, edge.output)));
        let mut ports: Vec<usize> = ports.map(|(at, _)| drafts[*index].port(at)).collect();
        ports.sort_unstable();
        ports.dedup();
        for port in ports {
            let (Some(reads), Some(columns)) = (typed.reads(port), columns.get(port)) else { continue };
            carries.extend(reads.passes.iter().map(|output| (*index, *output)));
            let name = || drafts[*index].name.to_owned();
            if let (true, Columns::Known(schema)) = (reads.all, columns) {
                found.extend(schema.fields().iter().map(|field| (name(), FieldPath::new(field.name()))));
            }
            found.extend(reads.fields.iter().map(|(field, _)| (name(), FieldPath::new(field))));
        }
    }
    found.dedup();
    found
}

fn refusal(subject: &Subject<'_>, mut rows: Vec<Row>) -> Diagnostic {
    rows.sort_by(|a, b| (&a.step, &a.field, a.since).cmp(&(&b.step, &b.field, b.since)));
    rows.dedup_by(|a, b| (&a.step, &a.field, a.since) == (&b.step, &b.field, b.since));
    let head = ["step", "field", "wanted", "written", "since version"].map(str::to_owned);
    let lines: Vec<[String; 5]> =
        rows.into_iter().map(|row| [row.step, row.field, row.wanted, row.written, row.since.to_string()]).collect();
    let widths: Vec<usize> =
        (0..5).map(|at| lines.iter().chain([&head]).map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
    let mut table = String::new();
    for line in [&head].into_iter().chain(&lines) {
        let cells: Vec<String> = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        let _ = writeln!(table, "{}", cells.join("  ").trim_end());
    }
    let message = format!(
        "versions of `{}` do not give what the job reads (mode `{}`)\n{}",
        subject.name,
        subject.mode,
        table.trim_end()
    );
    let mistake = Diagnostic::new("E0602", subject.place.clone(), message);
    mistake.help("read other fields, register a version that has them, or change `compatibility:`")
}
