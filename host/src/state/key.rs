//! How rows are named: `step | hash bucket | kind | hash (MD5, 16 bytes) | key | table | sub-key`, meta rows apart.
//!
//! The hash is the MD5 of the key, the space in which Kinesis splits shards, so that a split of a shard is a range of rows. The
//! numbers of kinds and of the two areas are kept stable: they are on disk.

use md5::{Digest, Md5};

/// Area of meta rows: manifests, the job record.
const META: u8 = 0;
/// Area of keyed state.
const STATE: u8 = 1;

/// What a row of keyed state is. Kept stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// an accumulator of a window; the sub-key is the window's start
    Window = 1,
}

/// MD5 of a key.
pub fn hash(key: &[u8]) -> [u8; 16] {
    Md5::digest(key).into()
}

/// A part of a key that says how long it is, so that no two parts run into each other.
fn part(into: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("keys are bounded far below 4 GiB");
    into.extend_from_slice(&length.to_be_bytes());
    into.extend_from_slice(bytes);
}

/// Rows of one step.
pub fn step_prefix(step: &str) -> Vec<u8> {
    let mut row = vec![STATE];
    part(&mut row, step.as_bytes());
    row
}

/// A row of keyed state.
pub fn state(step: &str, kind: Kind, key: &[u8], table: u8, sub_key: &[u8]) -> Vec<u8> {
    let hash = hash(key);
    let mut row = step_prefix(step);
    row.push(hash[0]);
    row.push(kind as u8);
    row.extend_from_slice(&hash);
    part(&mut row, key);
    row.push(table);
    row.extend_from_slice(sub_key);
    row
}

/// Key and sub-key of a row of keyed state of this step; `None` where the bytes are no such row.
pub fn parse_state<'a>(step: &str, row: &'a [u8]) -> Option<(u8, &'a [u8], &'a [u8])> {
    let rest = row.strip_prefix(step_prefix(step).as_slice())?;
    let (_bucket, rest) = rest.split_first()?;
    let (kind, rest) = rest.split_first()?;
    let rest = rest.get(16..)?;
    let length = u32::from_be_bytes(rest.get(..4)?.try_into().ok()?) as usize;
    let key = rest.get(4..4 + length)?;
    let sub_key = rest.get(4 + length + 1..)?;
    Some((*kind, key, sub_key))
}

/// A meta row: `name` says what, `number` orders rows of one name.
pub fn meta(partition: &str, name: &str, number: u64) -> Vec<u8> {
    let mut row = meta_prefix(partition, name);
    row.extend_from_slice(&number.to_be_bytes());
    row
}

/// All meta rows of one name.
pub fn meta_prefix(partition: &str, name: &str) -> Vec<u8> {
    let mut row = vec![META];
    part(&mut row, partition.as_bytes());
    part(&mut row, name.as_bytes());
    row
}

/// The number of a meta row.
pub fn meta_number(row: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(row.get(row.len().checked_sub(8)?..)?.try_into().ok()?))
}

/// The first key after every key that begins with `prefix`.
pub fn after_prefix(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return end;
        }
    }
    vec![u8::MAX; prefix.len() + 1]
}
