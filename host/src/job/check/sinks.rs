//! Sinks, dead letters, and the settings of the job itself.

use std::{
    ops::Range,
    path::{Component, Path, PathBuf},
    time::Duration,
};

use super::{
    Check,
    quantity::{duration, size},
    wiring::{Draft, DraftKind},
};
use crate::job::{
    diagnostic::Diagnostic,
    file::{
        raw,
        read::{At, Named},
    },
    graph::{Files, SinkKind},
};

const ROLL_EVERY: Duration = Duration::from_secs(60);
const ROLL_SIZE: u64 = 64 << 20;

impl<'a> Check<'a> {
    pub(super) fn sinks(&self, sinks: &'a Named<raw::Sink>) -> Vec<Draft<'a>> {
        sinks.0.iter().filter_map(|(name, sink)| self.sink(name, sink)).collect()
    }

    fn sink(&self, name: &'a At<String>, sink: &'a At<raw::Sink>) -> Option<Draft<'a>> {
        let text = name.value.as_ref()?;
        self.name(text, &name.place);
        let raw = sink.value.as_ref();
        let kind = raw.and_then(|raw| self.sink_kind(raw, &name.place));
        let from = raw.map_or(Vec::new(), |raw| self.from(&raw.from, &name.place));
        let key = raw.and_then(|raw| raw.kinesis.as_ref()?.value.as_ref()?.key.as_ref());
        Some(Draft::new(text, name.place.clone(), kind.map(|kind| DraftKind::Sink(kind, key)), from))
    }

    fn sink_kind(&self, sink: &'a raw::Sink, owner: &Range<usize>) -> Option<SinkKind> {
        let keys = [
            ("stdout", sink.stdout.as_ref().map(|at| &at.place)),
            ("file", sink.file.as_ref().map(|at| &at.place)),
            ("kinesis", sink.kinesis.as_ref().map(|at| &at.place)),
            ("firehose", sink.firehose.as_ref().map(|at| &at.place)),
            ("memory", sink.memory.as_ref().map(|at| &at.place)),
        ];
        let which = self.exactly_one("a sink", owner, &keys)?;
        if let (Some((raw::SinkFormat::Avro(_), place)), false) = (self.given(&sink.format), matches!(which, 2 | 3)) {
            let mistake = Diagnostic::new("E0104", place, format!("`{}` does not write Avro", keys[which].0));
            self.report(mistake.help("sinks that do: kinesis, firehose"));
        }
        match which {
            0 => Some(SinkKind::Stdout),
            1 => self.files(self.given(&sink.file)?.0, owner).map(SinkKind::File),
            2 => {
                let kinesis = self.given(&sink.kinesis)?.0;
                let aws = self.aws(&kinesis.endpoint, &kinesis.region, &kinesis.profile, &kinesis.role);
                let stream = self.needed_text(&kinesis.stream, "stream", owner)?;
                Some(SinkKind::Kinesis { stream, key: self.text(&kinesis.key), aws, avro: None })
            }
            3 => {
                let firehose = self.given(&sink.firehose)?.0;
                let aws = self.aws(&firehose.endpoint, &firehose.region, &firehose.profile, &firehose.role);
                let delivery_stream = self.needed_text(&firehose.delivery_stream, "delivery_stream", owner)?;
                Some(SinkKind::Firehose { delivery_stream, aws, avro: None })
            }
            _ => Some(SinkKind::Memory),
        }
    }

    fn files(&self, file: &'a raw::FileSink, owner: &Range<usize>) -> Option<Files> {
        let roll = self.given(&file.roll).map(|(roll, _)| roll);
        let every = roll.map_or(ROLL_EVERY, |roll| self.at_least(&roll.every, ROLL_EVERY, Duration::from_millis(10)));
        let size = roll.map_or(ROLL_SIZE, |roll| self.quantity(&roll.size, "E0102", ROLL_SIZE, size));
        let path = self.needed_text(&file.path, "path", owner)?;
        Some(Files { path: self.file.folder.join(path), every, size: size.max(1) })
    }

    /// A folder belongs to one sink: whoever reads it could not tell two apart.
    pub(super) fn folders(&self) {
        let raw = &self.file.raw;
        let mut files: Vec<(&'a str, &'a raw::FileSink)> = Vec::new();
        if let Some((sinks, _)) = self.given(&raw.sinks) {
            let file = |sink: &'a At<raw::Sink>| sink.value.as_ref()?.file.as_ref()?.value.as_ref();
            files.extend(sinks.0.iter().filter_map(|(name, sink)| Some((name.value.as_deref()?, file(sink)?))));
        }
        let letters =
            raw.dead_letters.as_ref().and_then(|letters| letters.value.as_ref()?.file.as_ref()?.value.as_ref());
        files.extend(letters.map(|file| ("dead_letters", file)));
        let mut known: Vec<(PathBuf, &str, Range<usize>)> = Vec::new();
        for (name, file) in files {
            let Some((path, place)) = self.given(&file.path) else { continue };
            let folder = plain(&self.file.folder.join(path));
            if let Some((_, first, at)) = known.iter().find(|(other, ..)| *other == folder) {
                let message = format!("`{first}` and `{name}` write to the same folder `{path}`");
                let mistake = Diagnostic::new("E0206", place.clone(), message).label("again");
                self.report(mistake.related(at.clone(), "first here").help("give each a folder of its own"));
            }
            known.push((folder, name, place));
        }
    }

    pub(super) fn at_least(&self, setting: &'a Option<At<String>>, default: Duration, least: Duration) -> Duration {
        self.quantity(setting, "E0101", default, |text| match duration(text)? {
            short if short < least => Err(format!("`{text}` is too short: at least {}ms", least.as_millis())),
            enough => Ok(enough),
        })
    }

    pub(super) fn dead_letters(&self) -> Option<Files> {
        let (letters, owner) = self.given(&self.file.raw.dead_letters)?;
        self.files(self.needed(&letters.file, "file", &owner)?.0, &owner)
    }

    pub(super) fn state_dir(&self, job: &str) -> PathBuf {
        let dir = self.given(&self.file.raw.state).and_then(|(state, _)| self.text(&state.dir));
        self.file.folder.join(dir.unwrap_or_else(|| format!(".pelton/{job}")))
    }

    /// The job's name, after its version was looked at.
    pub(super) fn job_name(&self) -> Option<String> {
        let top = 0..0;
        if let Some((version, place)) = self.needed(&self.file.raw.pelton, "pelton", &top)
            && version != "v1"
        {
            let message = format!("the version `{version}` of the job file is not known");
            self.report(Diagnostic::new("E0107", place, message).help("write `pelton: v1`"));
        }
        let (name, place) = self.needed(&self.file.raw.job, "job", &top)?;
        self.name(name, &place).then(|| name.clone())
    }
}

/// The path without `.` and `..`, by its text alone: the folder need not be there yet.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if plain.file_name().is_some() => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}
