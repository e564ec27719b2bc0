//! The rows of one file, one at a time.
//!
//! A line of JSON is handed out as it stands; empty lines are left out. A row of CSV becomes a JSON object: an empty cell or
//! `NA` is null, a plain decimal number (`-1.5`, not `007`, not `1e5`) is that number digit by digit, all else is text. A row
//! of another width than the header is handed out as it stands, so that `decode` rejects it and its neighbours live.
//! The rule: no row needs more than [`LONGEST`] bytes of memory, whatever the file says.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::UNIX_EPOCH,
};

use flate2::read::MultiGzDecoder;
use serde::Deserialize;

/// The longest row: what a record of a stream may be, and more.
pub const LONGEST: u64 = 10 << 20;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// one JSON value a line
    JsonLines,
    /// a header, then rows
    Csv,
}

/// Why a file cannot be read on.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("line {0} is longer than {LONGEST} bytes")]
    Long(u64),
    #[error("line {line}: {message}")]
    Csv { line: u64, message: String },
    #[error("the header names `{0}` twice")]
    Twice(String),
    #[error("the header has no field `{0}`, which is the partition key")]
    NoKey(String),
}

/// One record.
#[derive(Debug)]
pub struct Row<'a> {
    /// counted from 1, empty lines and the header too
    pub line: u64,
    pub bytes: &'a [u8],
    pub key: &'a str,
}

/// A file being read.
pub struct Rows {
    kind: Rest,
    modified_us: i64,
    bytes: Vec<u8>,
    key: String,
}

enum Rest {
    None,
    Json { lines: Box<dyn BufRead + Send>, line: u64, key: Option<String> },
    Csv(Box<Csv>),
}

struct Csv {
    reader: csv::Reader<Measured>,
    names: Vec<String>,
    key: Option<usize>,
    row: csv::ByteRecord,
}

/// Refuses to read on when one row has taken too much.
struct Measured {
    inner: Box<dyn Read + Send>,
    left: u64,
}

impl Read for Measured {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::Error::other(format!("a row is longer than {LONGEST} bytes: is a quote open?")));
        }
        let most = to.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let count = self.inner.read(&mut to[..most])?;
        self.left -= count as u64;
        Ok(count)
    }
}

impl Rows {
    /// No rows at all.
    pub fn none() -> Self {
        Self { kind: Rest::None, modified_us: 0, bytes: Vec::new(), key: String::new() }
    }

    /// Opens a file; gzip is found by its first bytes.
    pub fn open(path: &Path, format: Option<Format>, key: Option<&str>) -> Result<Self, Failed> {
        let file = File::open(path)?;
        let modified = file.metadata()?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut plain = BufReader::new(file);
        let zipped = plain.fill_buf()?.starts_with(&[0x1F, 0x8B]);
        let inner: Box<dyn Read + Send> = if zipped { Box::new(MultiGzDecoder::new(plain)) } else { Box::new(plain) };
        let kind = match format.unwrap_or_else(|| by_name(path)) {
            Format::JsonLines => {
                Rest::Json { lines: Box::new(BufReader::new(inner)), line: 0, key: key.map(str::to_owned) }
            }
            Format::Csv => Rest::Csv(Box::new(Csv::open(inner, key)?)),
        };
        let modified_us = i64::try_from(modified.as_micros()).unwrap_or(i64::MAX);
        Ok(Self { kind, modified_us, ..Self::none() })
    }

    /// When the file was last written: the arrival time of its records.
    pub fn modified_us(&self) -> i64 {
        self.modified_us
    }

    /// The next row.
    pub fn read(&mut self) -> Result<Option<Row<'_>>, Failed> {
        self.bytes.clear();
        self.key.clear();
        let line = match &mut self.kind {
            Rest::None => None,
            Rest::Json { lines, line, key } => {
                let found = next_line(lines, line, &mut self.bytes)?;
                if let (Some(_), Some(key)) = (found, key) {
                    json_key(&self.bytes, key, &mut self.key);
                }
                found
            }
            Rest::Csv(csv) => csv.next(&mut self.bytes, &mut self.key)?,
        };
        Ok(line.map(|line| Row { line, bytes: &self.bytes, key: &self.key }))
    }
}

fn by_name(path: &Path) -> Format {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if name.ends_with(".csv") { Format::Csv } else { Format::JsonLines }
}

fn next_line(lines: &mut Box<dyn BufRead + Send>, line: &mut u64, to: &mut Vec<u8>) -> Result<Option<u64>, Failed> {
    loop {
        to.clear();
        let count = lines.by_ref().take(LONGEST + 1).read_until(b'\n', to)?;
        if count == 0 {
            return Ok(None);
        }
        *line += 1;
        if count as u64 > LONGEST {
            return Err(Failed::Long(*line));
        }
        while let Some(b'\n' | b'\r') = to.last() {
            to.pop();
        }
        if !to.is_empty() {
            return Ok(Some(*line));
        }
    }
}

/// The field's text; nothing where there is no such field, or no object: the record is then decode's to reject.
fn json_key(line: &[u8], key: &str, to: &mut String) {
    let Ok(serde_json::Value::Object(fields)) = serde_json::from_slice(line) else { return };
    match fields.get(key) {
        Some(serde_json::Value::String(text)) => to.push_str(text),
        None | Some(serde_json::Value::Null) => {}
        Some(other) => to.push_str(&other.to_string()),
    }
}

impl Csv {
    fn open(inner: Box<dyn Read + Send>, key: Option<&str>) -> Result<Self, Failed> {
        let measured = Measured { inner, left: LONGEST };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(measured);
        let header = reader.byte_headers().map_err(|failed| failed_csv(1, &failed))?;
        let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        if let Some((_, twice)) = names.iter().enumerate().find(|(place, name)| names[..*place].contains(name)) {
            return Err(Failed::Twice(twice.clone()));
        }
        let place = |key: &str| names.iter().position(|name| name == key);
        let key = key.map(|key| place(key).ok_or_else(|| Failed::NoKey(key.to_owned()))).transpose()?;
        Ok(Self { reader, names, key, row: csv::ByteRecord::new() })
    }

    fn next(&mut self, to: &mut Vec<u8>, key: &mut String) -> Result<Option<u64>, Failed> {
        self.reader.get_mut().left = LONGEST;
        let line = self.reader.position().line();
        if !self.reader.read_byte_record(&mut self.row).map_err(|failed| failed_csv(line, &failed))? {
            return Ok(None);
        }
        let line = self.row.position().map_or(line, csv::Position::line);
        if self.row.len() == self.names.len() {
            self.object(to);
            key.push_str(&self.key.map_or_else(Default::default, |place| String::from_utf8_lossy(&self.row[place])));
        } else {
            to.extend(self.row.iter().collect::<Vec<_>>().join(&b','));
        }
        Ok(Some(line))
    }

    fn object(&self, to: &mut Vec<u8>) {
        for (place, (name, cell)) in self.names.iter().zip(&self.row).enumerate() {
            to.push(if place == 0 { b'{' } else { b',' });
            text(name, to);
            to.push(b':');
            match cell {
                b"" | b"NA" => to.extend(b"null"),
                number if is_number(number) => to.extend(number),
                other => text(&String::from_utf8_lossy(other), to),
            }
        }
        to.push(b'}');
    }
}

fn failed_csv(line: u64, failed: &csv::Error) -> Failed {
    Failed::Csv { line, message: failed.to_string() }
}

fn text(text: &str, to: &mut Vec<u8>) {
    serde_json::to_writer(to, text).expect("text is written to memory");
}

/// Digits with at most one point, without leading zeros, as JSON writes them.
fn is_number(cell: &[u8]) -> bool {
    let digits = cell.strip_prefix(b"-").unwrap_or(cell);
    let mut parts = digits.split(|byte| *byte == b'.');
    let (whole, fraction, more) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let all_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    all_digits(whole) && (whole.len() == 1 || whole[0] != b'0') && fraction.is_none_or(all_digits) && more.is_none()
}
