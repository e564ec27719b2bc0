//! Named objects that every worker of a fleet can reach: manifests, state and job records lie in them.
//!
//! What an object store owes: an object is there whole or not at all; [`Objects::create`] makes it only if there is none of that name,
//! whoever else tries at the same time; when `create` or `delete` has returned, every later call of anybody sees it, and it survives
//! a crash of the machine. Nothing is ever written over. After an error it is not known whether the call happened: whoever asked
//! reads.
//! Left to others: what lies in the objects, and what a name means (`checkpoint`).

use std::ops::Range;

use bytes::Bytes;

use crate::{
    error::{Error, Kind, Result},
    source::Pending,
};

pub mod folder;
pub mod memory;
pub mod s3;

/// What became of a [`Objects::create`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// the object is ours
    Done,
    /// there is one of that name already; it was left alone
    Exists,
}

/// A store of objects. Names are parts of `A-Za-z0-9_.-`, joined by `/`.
pub trait Objects: Send + Sync {
    /// Makes an object.
    fn create<'a>(&'a self, name: &'a str, bytes: Bytes) -> Pending<'a, Result<Created>>;

    /// The bytes of an object, or a part of them; none where there is no such object.
    fn read<'a>(&'a self, name: &'a str, part: Option<Range<u64>>) -> Pending<'a, Result<Option<Bytes>>>;

    /// Every name that begins with `prefix` (whole parts, ending with `/`) and stands after `after`, in order.
    fn list<'a>(&'a self, prefix: &'a str, after: &'a str) -> Pending<'a, Result<Vec<String>>>;

    /// Removes an object. One that is not there is no error.
    fn delete<'a>(&'a self, name: &'a str) -> Pending<'a, Result<()>>;

    /// Where the objects lie, for messages.
    fn place(&self) -> String;
}

/// Refuses names that could leave their place in a file system or mean something else in a URL.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('.')
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
    };
    if name.len() <= 900 && name.split('/').all(plain) {
        return Ok(());
    }
    let shown: String = name.chars().take(200).collect();
    let words = format!("`{shown}` cannot name an object: its parts may hold letters, digits, `_`, `.` and `-`");
    Err(Error::new(Kind::Config, words))
}

#[cfg(test)]
mod tests;
