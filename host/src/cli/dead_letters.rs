//! `pelton dead-letters list|show`: what could not be processed, and why, from the files that the job keeps letters in.
//!
//! The rule: what a record holds never reaches the terminal raw. A letter has a short name made of what it says, so that it stays the
//! same between calls. Letters are seen once their file is complete: at the end of a run, or about a minute after they were written.

use std::{
    collections::VecDeque,
    fmt::Write as _,
    fs::File,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
};

use clap::{Args, Subcommand};
use serde_json::{Map, Value as Json, json};
use sha2::{Digest, Sha256};

use super::{Output, line};
use crate::error::{Error, Kind, Result};

/// Look at records that could not be processed.
#[derive(Debug, Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
    /// how to print
    #[arg(long, value_enum, default_value_t, global = true)]
    format: Output,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The newest letters, one a line
    List {
        #[command(flatten)]
        place: Place,
        #[command(flatten)]
        filter: Filter,
        /// at most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        limit: u32,
    },
    /// One letter: why, where the record stands in its stream, and its bytes
    Show {
        #[command(flatten)]
        place: Place,
        /// the letter's name in the list, or the beginning of it
        letter: String,
        /// all bytes, not the first 4 KiB
        #[arg(long)]
        full: bool,
    },
}

#[derive(Debug, Args)]
struct Place {
    /// the job file, or a folder of dead letters
    job: PathBuf,
    /// where the job's state is, if it was run with --state-dir
    #[arg(long)]
    state_dir: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Filter {
    /// only letters of this step or source
    #[arg(long)]
    step: Option<String>,
    /// only letters with this in their code or message
    #[arg(long)]
    reason: Option<String>,
}

/// A line of the files: payload in hex, and a message with a backtrace.
const LONGEST_LINE: u64 = 16 << 20;
/// Bytes that are shown unasked.
const SHOWN: usize = 4096;

/// A letter, as it was written.
struct Letter {
    name: String,
    fields: Map<String, Json>,
}

/// Runs the command.
pub fn dead_letters(arguments: &Arguments) -> Result<()> {
    match &arguments.what {
        What::List { place, filter, limit } => {
            list(&folder(place, arguments.format)?, filter, *limit as usize, arguments.format)
        }
        What::Show { place, letter, full } => show(&folder(place, arguments.format)?, letter, *full, arguments.format),
    }
}

/// Where the letters are.
fn folder(place: &Place, format: Output) -> Result<PathBuf> {
    if place.job.is_dir() {
        return Ok(place.job.clone());
    }
    let runtime = super::runtime()?;
    let graph = super::check::load(&place.job, runtime.handle(), format)?.graph;
    let state_dir = place.state_dir.clone().unwrap_or(graph.state_dir);
    Ok(graph.dead_letters.map_or_else(|| state_dir.join("dead-letters"), |files| files.path))
}

fn list(folder: &Path, filter: &Filter, limit: usize, format: Output) -> Result<()> {
    let (mut newest, mut count) = (VecDeque::new(), 0usize);
    read(folder, &mut |letter| {
        if filter.takes(&letter) {
            count += 1;
            newest.push_back(letter);
            if newest.len() > limit {
                newest.pop_front();
            }
        }
    })?;
    if format == Output::Json {
        newest.into_iter().for_each(|letter| line(letter.into_json()));
        return Ok(());
    }
    if newest.is_empty() {
        line(format_args!("no dead letters in {}", folder.display()));
        return Ok(());
    }
    line(format_args!("{:<10}{:<18}{:<22}{:<28}message", "letter", "step", "code", "partition key"));
    for letter in &newest {
        let cell = |name: &str, width: usize| fit(&letter.text(name), width);
        line(format_args!(
            "{:<10}{:<18}{:<22}{:<28}{}",
            letter.name,
            cell("step", 16),
            cell("code", 20),
            cell("partition_key", 26),
            cell("message", 100)
        ));
    }
    if count > newest.len() {
        line(format_args!("the newest {} of {count}; --limit shows more", newest.len()));
    }
    Ok(())
}

fn show(folder: &Path, name: &str, full: bool, format: Output) -> Result<()> {
    let mut found: Vec<Letter> = Vec::new();
    read(folder, &mut |letter| {
        if !name.is_empty()
            && letter.name.starts_with(name)
            && found.len() < 20
            && found.iter().all(|f| f.name != letter.name)
        {
            found.push(letter);
        }
    })?;
    let refuse = |message| Err(Error::new(Kind::Config, message));
    let Some(letter) = found.pop() else {
        return refuse(format!(
            "no dead letter in {} is called `{name}`; `pelton dead-letters list` names them",
            folder.display()
        ));
    };
    if !found.is_empty() {
        let names: Vec<&str> = found.iter().chain([&letter]).map(|letter| letter.name.as_str()).collect();
        return refuse(format!("`{name}` begins several: {}", names.join(", ")));
    }
    match format {
        Output::Json => line(letter.into_json()),
        Output::Text => line(letter.page(full).trim_end()),
    }
    Ok(())
}

/// Every letter, oldest file first. A line that is no letter is passed over with a warning.
fn read(folder: &Path, take: &mut dyn FnMut(Letter)) -> Result<()> {
    let unread =
        |path: &Path, e: std::io::Error| Error::new(Kind::State, format!("cannot read {}: {e}", path.display()));
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(unread(folder, e)),
    };
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<std::io::Result<_>>()
        .map_err(|e| unread(folder, e))?;
    paths.retain(|path| path.extension().is_some_and(|of| of == "jsonl"));
    paths.sort();
    for path in paths {
        let mut file = BufReader::new(File::open(&path).map_err(|e| unread(&path, e))?);
        let mut line = Vec::new();
        for number in 1u64.. {
            line.clear();
            let length = file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line).map_err(|e| unread(&path, e))?;
            if length == 0 {
                break;
            }
            match Letter::parse(&line) {
                Some(letter) => take(letter),
                None => tracing::warn!("{}:{number} is no dead letter", path.display()),
            }
        }
    }
    Ok(())
}

impl Filter {
    fn takes(&self, letter: &Letter) -> bool {
        let step = self.step.as_ref().is_none_or(|step| letter.text("step") == *step);
        let reason = |reason: &String| letter.text("code").contains(reason) || letter.text("message").contains(reason);
        step && self.reason.as_ref().is_none_or(reason)
    }
}

impl Letter {
    fn parse(line: &[u8]) -> Option<Self> {
        let fields: Map<String, Json> = serde_json::from_slice(line).ok()?;
        fields.get("code")?;
        let name = Sha256::digest(line.trim_ascii_end()).iter().take(4).fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        });
        Some(Self { name, fields })
    }

    fn text(&self, field: &str) -> String {
        match self.fields.get(field) {
            None | Some(Json::Null) => String::new(),
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_string(),
        }
    }

    /// The record's bytes; none for a row that is no record (the result of a window).
    fn payload(&self) -> Option<Vec<u8>> {
        let hex = self.fields.get("payload")?.as_str()?.as_bytes();
        let digit = |c: u8| (c as char).to_digit(16);
        hex.chunks(2).map(|pair| Some((digit(*pair.first()?)? * 16 + digit(*pair.get(1)?)?) as u8)).collect()
    }

    fn into_json(mut self) -> Json {
        let text = self.payload().and_then(|bytes| String::from_utf8(bytes).ok());
        let hex = self.fields.remove("payload");
        self.fields.insert("payload".to_owned(), json!({ "hex": hex, "text": text }));
        self.fields.insert("letter".to_owned(), Json::String(self.name));
        Json::Object(self.fields)
    }

    fn page(&self, full: bool) -> String {
        let mut page = format!("letter {}\n", self.name);
        for (name, _) in self.fields.iter().filter(|(name, value)| *name != "payload" && !value.is_null()) {
            for (number, line) in self.text(name).lines().enumerate() {
                let head = if number == 0 { name.as_str() } else { "" };
                let _ = writeln!(page, "{head:<14}{}", plain(line));
            }
        }
        let Some(bytes) = self.payload() else {
            page.push_str("it is no record of a stream, so it has no bytes\n");
            return page;
        };
        let shown = if full { &bytes[..] } else { &bytes[..bytes.len().min(SHOWN)] };
        let _ = writeln!(page, "\n{} bytes", bytes.len());
        if let Ok(text) = std::str::from_utf8(&bytes) {
            let text: String = text.chars().take(if full { usize::MAX } else { SHOWN }).collect();
            let _ = writeln!(page, "\nas text\n{}", text.lines().map(plain).collect::<Vec<_>>().join("\n"));
        }
        let _ = writeln!(page, "\nas hex");
        for (row, chunk) in shown.chunks(16).enumerate() {
            let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            let text: String =
                chunk.iter().map(|b| if b.is_ascii_graphic() || *b == b' ' { *b as char } else { '.' }).collect();
            let _ = writeln!(page, "{:08x}  {:<47}  {text}", row * 16, hex.join(" "));
        }
        if shown.len() < bytes.len() {
            let _ = writeln!(page, "the first {} of {} bytes; --full shows all", shown.len(), bytes.len());
        }
        page
    }
}

/// Without what would move a terminal's cursor.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The first line, cut to a width.
fn fit(text: &str, width: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    match line.chars().count() > width {
        true => plain(&line.chars().take(width.saturating_sub(3)).chain("...".chars()).collect::<String>()),
        false => plain(line),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn a_page_shows_text_and_hex_and_no_control_characters() {
        let line = br#"{"step":"s","code":"c","message":"one\n\u001b[2Jtwo","stream":null,"payload":"7b1b7d0a41"}"#;
        let page = Letter::parse(line).unwrap().page(false);
        assert!(!page.contains('\u{1b}'), "{page}");
        for part in
            ["message       one\n              \u{fffd}[2Jtwo\n", "5 bytes", "{\u{fffd}}\nA", "7b 1b 7d 0a 41", "{.}.A"]
        {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(Letter::parse(b"{}").is_none() && Letter::parse(b"x").is_none());
        let odd = Letter::parse(br#"{"code":"c","payload":"7b1"}"#).unwrap();
        assert!(odd.payload().is_none());
    }

    #[test]
    fn cells_are_cut() {
        assert_eq!(fit("abcdefgh\nsecond", 8), "abcdefgh");
        assert_eq!(fit("abcdefghi", 8), "abcde...");
    }
}
