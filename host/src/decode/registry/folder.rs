//! A folder of schemas: `SUBJECT/VERSION.avsc`, or `SUBJECT/VERSION-ID.avsc` where records name their schema by a number.
//!
//! The rule: the folder is read anew for each question, so a file that is added is found; a name that is none of these is passed over.
//! Subjects are taken as they are, with `%2F` for a slash. Records are found by number or, without one, by fingerprint. A schema is registered
//! as the next file, which is made only if it is absent.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use pelton_schema::AvroSchema;

use super::{Answer, Found, Outage, SchemaId, SchemaSource, Which, parsed};
use crate::{source::Pending, task};

/// Files that are looked at.
const MOST_FILES: usize = 20_000;
/// Bytes of one.
const MOST_BYTES: u64 = 4 << 20;

/// Schemas in files.
#[derive(Clone, Debug)]
pub struct FolderSource {
    path: PathBuf,
}

/// One file.
struct Entry {
    subject: String,
    version: u32,
    number: Option<u32>,
    path: PathBuf,
}

impl FolderSource {
    /// The schemas in this folder.
    pub fn new(path: PathBuf) -> Self {
        Self { path }
    }

    fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(Vec<Entry>) -> Answer<T> + Send + 'static,
    ) -> Pending<'_, Answer<T>> {
        let path = self.path.clone();
        Box::pin(task::blocking(move || entries(&path).and_then(question)))
    }
}

/// Whether two texts are the same JSON.
fn is_same(one: &str, other: &str) -> bool {
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    one == other || json(one).is_some_and(|one| json(other) == Some(one))
}

fn unread(path: &Path, bad: &io::Error) -> Outage {
    Outage::new(format!("{} cannot be read: {bad}", path.display()))
}

/// Every file, by subject and version.
fn entries(folder: &Path) -> Answer<Vec<Entry>> {
    let mut all = Vec::new();
    let list = |path: &Path| fs::read_dir(path).map_err(|bad| unread(path, &bad));
    if !folder.is_dir() {
        return Err(Outage { why: format!("{} is no folder", folder.display()), is_refusal: true });
    }
    for subject in list(folder)? {
        let subject = subject.map_err(|bad| unread(folder, &bad))?.path();
        let Some(name) = subject.file_name().and_then(|name| name.to_str()).filter(|_| subject.is_dir()) else {
            continue;
        };
        for file in list(&subject)? {
            let path = file.map_err(|bad| unread(&subject, &bad))?.path();
            let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
            if path.extension().is_none_or(|end| end != "avsc") {
                continue;
            }
            let (version, number) =
                stem.split_once('-').map_or((stem, None), |(version, number)| (version, Some(number)));
            let Ok(version) = version.parse() else { continue };
            let Ok(number) = number.map(str::parse).transpose() else { continue };
            if all.len() >= MOST_FILES {
                return Err(Outage::new(format!("{} holds more than {MOST_FILES} schemas", folder.display())));
            }
            all.push(Entry { subject: name.replace("%2F", "/"), version, number, path });
        }
    }
    all.sort_by(|a, b| (&a.subject, a.version).cmp(&(&b.subject, b.version)));
    Ok(all)
}

fn text(path: &Path) -> Answer<String> {
    let length = fs::metadata(path).map_err(|bad| unread(path, &bad))?.len();
    if length > MOST_BYTES {
        return Err(Outage::new(format!("{} has {length} bytes: at most {MOST_BYTES}", path.display())));
    }
    fs::read_to_string(path).map_err(|bad| unread(path, &bad))
}

/// The schema of a file, under the name that records know it by.
fn schema(entry: &Entry) -> Answer {
    let text = text(&entry.path)?;
    let print = || AvroSchema::parse(&text, &[]).map_or(0, |schema| schema.fingerprint());
    let id = entry.number.map_or_else(|| SchemaId::Fingerprint(print()), SchemaId::Number);
    Ok(parsed(id, &text, Vec::new(), vec![(Arc::from(entry.subject.as_str()), entry.version)]))
}

impl SchemaSource for FolderSource {
    fn name(&self) -> String {
        format!("the folder {}", self.path.display())
    }

    fn answers(&self, id: SchemaId) -> bool {
        matches!(id, SchemaId::Number(_) | SchemaId::Fingerprint(_))
    }

    fn by_id(&self, id: SchemaId) -> Pending<'_, Answer> {
        self.ask(move |entries| {
            for entry in &entries {
                let may_be = match id {
                    SchemaId::Number(number) => entry.number == Some(number),
                    _ => true,
                };
                if !may_be {
                    continue;
                }
                let found = schema(entry)?;
                let is_it = match (&found, id) {
                    (Found::Schema(known), SchemaId::Fingerprint(print)) => known.schema.fingerprint() == print,
                    (found, SchemaId::Number(_)) => !matches!(found, Found::Unknown),
                    _ => false,
                };
                if is_it {
                    return Ok(found);
                }
            }
            Ok(Found::Unknown)
        })
    }

    fn versions<'a>(&'a self, subject: &'a str) -> Pending<'a, Answer<Vec<u32>>> {
        let subject = subject.to_owned();
        self.ask(move |entries| {
            Ok(entries.iter().filter(|entry| entry.subject == subject).map(|entry| entry.version).collect())
        })
    }

    fn register<'a>(&'a self, subject: &'a str, text: &'a str, may_register: bool) -> Pending<'a, Answer> {
        let (subject, text, folder) = (subject.to_owned(), text.to_owned(), self.path.clone());
        self.ask(move |entries| {
            let asked = match AvroSchema::parse_strict(&text, &[]) {
                Ok(schema) => schema,
                Err(bad) => return Ok(Found::Unusable(bad.to_string())),
            };
            let of_subject: Vec<&Entry> = entries.iter().filter(|entry| entry.subject == subject).collect();
            for entry in &of_subject {
                let found = schema(entry)?;
                if matches!(&found, Found::Schema(known) if is_same(&known.text, &text)) {
                    return Ok(found);
                }
            }
            if !may_register {
                return Ok(Found::Unknown);
            }
            let version = of_subject.last().map_or(0, |entry| entry.version) + 1;
            let path = folder.join(subject.replace('/', "%2F")).join(format!("{version}.avsc"));
            fs::create_dir_all(path.parent().unwrap_or(&folder)).map_err(|bad| unread(&path, &bad))?;
            let mut file = fs::File::create_new(&path).map_err(|bad| unread(&path, &bad))?;
            io::Write::write_all(&mut file, text.as_bytes()).map_err(|bad| unread(&path, &bad))?;
            let print = SchemaId::Fingerprint(asked.fingerprint());
            Ok(parsed(print, &text, Vec::new(), vec![(Arc::from(subject.as_str()), version)]))
        })
    }

    fn version<'a>(&'a self, subject: &'a str, which: Which) -> Pending<'a, Answer> {
        let subject = subject.to_owned();
        self.ask(move |entries| {
            let mut of_subject = entries.iter().filter(|entry| entry.subject == subject);
            let entry = match which {
                Which::Latest => of_subject.next_back(),
                Which::Number(number) => of_subject.find(|entry| entry.version == number),
            };
            entry.map_or(Ok(Found::Unknown), schema)
        })
    }
}
