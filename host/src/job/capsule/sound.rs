//! A capsule comes from anybody: what it says of itself is checked before it is believed.
//!
//! The rule: nothing of a file takes more memory than the file has bytes, names are no paths, and what is shown on a terminal is text.
//! Left to others: what a sound capsule means (`rerun`).

use std::{fs::File, io::Read, path::Path};

use arrow::ipc::{Message, root_as_message};

/// The bytes of a file that has at most `most`; why not, in words.
pub fn bytes(path: &Path, most: u64) -> Result<Vec<u8>, String> {
    let failed = |e: std::io::Error| e.to_string();
    // Looked at before it is opened: opening a pipe waits for somebody to write.
    if !path.metadata().map_err(failed)?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(most + 1).read_to_end(&mut bytes)).map_err(failed)?;
    if bytes.len() as u64 > most { Err(format!("it has more than {most} bytes")) } else { Ok(bytes) }
}

/// Whether this is the digest of a component.
pub fn is_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|letter| matches!(letter, b'0'..=b'9' | b'a'..=b'f'))
}

/// Whether this may be the name of a job.
pub fn is_name(text: &str) -> bool {
    let fits = |letter: u8| letter.is_ascii_alphanumeric() || matches!(letter, b'-' | b'_');
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// Whether a stream of Arrow's has the bytes that it says it has: its reader makes room for them before it looks.
pub fn stream(mut left: &[u8]) -> Result<(), String> {
    let short = || "it ends in the middle".to_owned();
    while !left.is_empty() {
        let mut length = number(&mut left).ok_or_else(short)?;
        if length == u32::MAX {
            length = number(&mut left).ok_or_else(short)?;
        }
        if length == 0 {
            return Ok(());
        }
        let head = left.split_off(..length as usize).ok_or_else(short)?;
        let message = root_as_message(head).map_err(|e| e.to_string())?;
        let body = usize::try_from(message.bodyLength()).ok().and_then(|length| left.split_off(..length));
        buffers(&message, body.ok_or_else(short)?.len())?;
    }
    Ok(())
}

fn number(left: &mut &[u8]) -> Option<u32> {
    left.split_off(..4)?.try_into().ok().map(u32::from_le_bytes)
}

/// Whether the columns of a message lie within its body.
fn buffers(message: &Message<'_>, body: usize) -> Result<(), String> {
    let dictionary = message.header_as_dictionary_batch().and_then(|dictionary| dictionary.data());
    let Some(batch) = message.header_as_record_batch().or(dictionary) else { return Ok(()) };
    if batch.compression().is_some() {
        return Err("it is compressed".to_owned());
    }
    let within = |offset: i64, length: i64| {
        let (offset, length) = (usize::try_from(offset).ok()?, usize::try_from(length).ok()?);
        offset.checked_add(length).filter(|end| *end <= body)
    };
    match batch.buffers().into_iter().flatten().all(|buffer| within(buffer.offset(), buffer.length()).is_some()) {
        true => Ok(()),
        false => Err("a column lies outside of it".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;
    use crate::{contract, job::capsule};

    #[test]
    fn a_stream_that_promises_more_than_it_has_is_refused_before_it_is_read() {
        let sound = capsule::stream(&contract::rows(0..1).fields).unwrap().0;
        assert_eq!(stream(&sound), Ok(()));
        // Whatever is broken, somebody says so or the reader does, and nobody takes memory for it.
        for place in 0..sound.len() {
            for value in [0xFF, 0x7F] {
                let mut broken = sound.clone();
                broken[place] = value;
                let _ = capsule::unstream(&capsule::Bytes(broken));
            }
        }
        let cut = &sound[..sound.len() / 2];
        assert!(stream(cut).is_err());
    }

    #[test]
    fn names_are_no_paths() {
        assert!(is_name("clicks-2_b") && !is_name("..") && !is_name("a/b") && !is_name("") && !is_name("."));
        assert!(is_digest(&"0f".repeat(32)) && !is_digest("/dev/zero") && !is_digest(&"0F".repeat(32)));
    }

    #[test]
    fn what_is_no_file_or_too_long_is_not_read() {
        assert_eq!(bytes(Path::new("/dev/zero"), 10), Err("it is no file".to_owned()));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, [7; 11]).unwrap();
        assert_eq!(bytes(&path, 10), Err("it has more than 10 bytes".to_owned()));
        assert_eq!(bytes(&path, 11).unwrap().len(), 11);
    }
}
