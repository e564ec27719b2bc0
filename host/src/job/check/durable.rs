//! When and where progress becomes durable, and how workers share the work.
//!
//! The rule: workers that share work need a place that all of them reach; whoever takes over could not know what was done otherwise.

use std::{ops::Range, time::Duration};

use super::Check;
use crate::job::{
    diagnostic::Diagnostic,
    file::{raw, read::At},
    graph::{Leases, Store},
};

const EPOCH: Duration = Duration::from_secs(1);
/// With a store an epoch costs requests.
const REMOTE_EPOCH: Duration = Duration::from_secs(10);
const LEASE: Duration = Duration::from_secs(10);
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

impl<'a> Check<'a> {
    pub(super) fn epoch(&self) -> Duration {
        let Some((checkpoint, _)) = self.given(&self.file.raw.checkpoint) else { return EPOCH };
        let default = if checkpoint.store.is_some() { REMOTE_EPOCH } else { EPOCH };
        self.at_least(&checkpoint.every, default, Duration::from_millis(10))
    }

    pub(super) fn store(&self) -> Option<Store> {
        let (checkpoint, _) = self.given(&self.file.raw.checkpoint)?;
        let aws = self.aws(&checkpoint.endpoint, &checkpoint.region, &checkpoint.profile, &checkpoint.role);
        let (text, place) = self.given(&checkpoint.store)?;
        let Some(rest) = text.strip_prefix("s3://") else {
            if text.contains("://") || text.is_empty() {
                let mistake = Diagnostic::new("E0104", place, format!("`{text}` is no store"));
                self.report(mistake.help("write `s3://BUCKET/PREFIX`, or the path of a folder that all workers reach"));
            }
            return Some(Store::Folder(self.file.folder.join(text)));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let plain = |text: &str| text.split('/').all(|part| !part.is_empty() && !part.contains(char::is_whitespace));
        if !plain(bucket) || !(prefix.is_empty() || plain(prefix)) {
            let mistake = Diagnostic::new("E0104", place, format!("`{text}` is no place in S3"));
            self.report(mistake.help("write it like `s3://my-bucket/pelton`"));
        }
        Some(Store::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned(), aws })
    }

    pub(super) fn leases(&self) -> Option<Leases> {
        let (leases, place) = self.given(&self.file.raw.leases)?;
        let duration = self.at_least(&leases.duration, LEASE, SHORTEST_LEASE);
        let (table, owner) = self.needed(&leases.dynamodb, "dynamodb", &place)?;
        let has_store = self.given(&self.file.raw.checkpoint).is_some_and(|(checkpoint, _)| checkpoint.store.is_some());
        if !has_store {
            let message = "`leases` share the work among workers, but there is no store that all of them reach";
            let mistake = Diagnostic::new("E0208", first_line(&place, &owner), message);
            self.report(
                mistake.help("add `checkpoint: { store: \"s3://BUCKET/PREFIX\" }`, or a folder of this machine"),
            );
        }
        self.refuse_other_sources(&place);
        let aws = self.aws(&table.endpoint, &table.region, &table.profile, &table.role);
        let name = self.given(&table.table).and_then(|(name, place)| self.table_name(name, place));
        Some(Leases { table: name, aws, duration })
    }

    fn table_name(&self, name: &str, place: Range<usize>) -> Option<String> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
        if (3..=255).contains(&name.len()) && name.bytes().all(plain) {
            return Some(name.to_owned());
        }
        let mistake = Diagnostic::new("E0104", place, format!("`{name}` cannot name a table of DynamoDB"));
        self.report(mistake.help("3 to 255 letters, digits, `_`, `.` or `-`"));
        None
    }

    /// What is read from a file of one machine cannot be read by another.
    fn refuse_other_sources(&self, leases: &Range<usize>) {
        let Some((sources, _)) = self.given(&self.file.raw.sources) else { return };
        let is_file = |source: &At<raw::Source>| source.value.as_ref().is_some_and(|source| source.file.is_some());
        for (name, _) in sources.0.iter().filter(|(_, source)| is_file(source)) {
            let text = name.value.as_deref().unwrap_or_default();
            let message = format!("the source `{text}` is a file, which workers cannot share");
            let mistake = Diagnostic::new("E0209", name.place.clone(), message).related(leases.clone(), "leases");
            self.report(mistake.help("take `leases` out, or read a stream"));
        }
    }
}

fn first_line(whole: &Range<usize>, part: &Range<usize>) -> Range<usize> {
    whole.start..part.start.max(whole.start + 1).min(whole.end)
}
