//! How rows are named: `step | hash bucket | kind | hash (MD5, 16 bytes) | key | table | sub-key`, meta rows apart.
//!
//! The hash is the MD5 of the key, the space in which Kinesis splits shards, so that a split of a shard is a range of rows. The
//! numbers of kinds and of the two areas are kept stable: they are on disk.

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

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
    /// a value that a plugin keeps; the sub-key is the table's name with its length, then the plugin's own sub-key
    Value = 2,
    /// a timer that a plugin has set; the sub-key is its domain and its tag
    Timer = 3,
}

/// MD5 of a key.
pub fn hash(key: &[u8]) -> [u8; 16] {
    Md5::digest(key).into()
}

/// A range of hash keys, both ends included: what a partition owns of each of its steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashRange {
    /// the first
    pub from: u128,
    /// the last
    pub to: u128,
}

impl HashRange {
    /// Every hash key.
    pub const ALL: Self = Self { from: 0, to: u128::MAX };

    /// Whether this hash lies in it.
    pub fn contains(&self, hash: [u8; 16]) -> bool {
        (self.from..=self.to).contains(&u128::from_be_bytes(hash))
    }
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

/// A row of keyed state. `hash` is where the key stands in the hash space: that of the key itself, or of the partition key within it.
pub fn state(step: &str, kind: Kind, hash: [u8; 16], key: &[u8], table: u8, sub_key: &[u8]) -> Vec<u8> {
    let mut row = step_prefix(step);
    row.push(hash[0]);
    row.push(kind as u8);
    row.extend_from_slice(&hash);
    part(&mut row, key);
    row.push(table);
    row.extend_from_slice(sub_key);
    row
}

/// The hash of a row of keyed state of this step; `None` where the bytes are no such row.
pub fn hash_of(step: &str, row: &[u8]) -> Option<[u8; 16]> {
    row.strip_prefix(step_prefix(step).as_slice())?.get(2..18)?.try_into().ok()
}

/// Step and hash of a row of keyed state, whichever step it is; `None` where the bytes are no such row.
pub fn place(row: &[u8]) -> Option<(&str, [u8; 16])> {
    let (step, rest) = split_part(row.strip_prefix(&[STATE])?)?;
    Some((std::str::from_utf8(step).ok()?, rest.get(2..18)?.try_into().ok()?))
}

/// All keyed state stands between these two.
pub fn all_state() -> (Vec<u8>, Vec<u8>) {
    (vec![STATE], vec![STATE + 1])
}

/// The rows of one step whose hashes lie in the range stand between these two, among few others: compare with [`hash_of`].
pub fn step_range(step: &str, range: HashRange) -> (Vec<u8>, Vec<u8>) {
    let bucket = |hash: u128| hash.to_be_bytes()[0];
    let (mut from, mut last) = (step_prefix(step), step_prefix(step));
    from.push(bucket(range.from));
    last.push(bucket(range.to));
    (from, after_prefix(&last))
}

/// The rows of one kind of one step whose hashes begin with this byte.
pub fn kind_prefix(step: &str, bucket: u8, kind: Kind) -> Vec<u8> {
    let mut row = step_prefix(step);
    row.extend_from_slice(&[bucket, kind as u8]);
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

/// Meta rows of every partition.
pub fn all_meta() -> Vec<u8> {
    vec![META]
}

/// Partition and name of a meta row.
pub fn meta_parts(row: &[u8]) -> Option<(&str, &str)> {
    let (partition, rest) = split_part(row.strip_prefix(&[META])?)?;
    let (name, _) = split_part(rest)?;
    Some((std::str::from_utf8(partition).ok()?, std::str::from_utf8(name).ok()?))
}

fn split_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
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
