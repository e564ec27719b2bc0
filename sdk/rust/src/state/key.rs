//! Keys of a step as an author sees them: a type of his own, read from the columns that the host sends with each call.
//!
//! The rule: what `declare` says goes into the manifest, and a job whose `key:` has other fields is refused before it runs.
//! Left to others: which record has which key (`worlds`).

use crate::batch;
use crate::bindings::types::{Column, Field, KeySet};
use crate::cell::{self, Bytes, Cell, Date, Timestamp};
use crate::rows::{Fields, Source};

/// The type of a step's key: one value, a tuple for a key of several fields, or a struct that derives `Fields`.
pub trait Key<'a>: Sized {
    type Reader;
    /// The fields of `key:`, in its order; none takes any key.
    fn declare() -> Vec<Field>;
    fn open(keys: &'a KeySet) -> Result<Self::Reader, String>;
    fn read(reader: &Self::Reader, index: usize) -> Self;
}

/// How many keys a call has.
pub fn count(keys: &KeySet) -> usize {
    cell::cells(&keys.bytes)
}

/// Any key, as the host's bytes for it: equal keys have equal bytes, and nothing more is said of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyBytes<'a>(pub &'a [u8]);

impl<'a> Key<'a> for KeyBytes<'a> {
    type Reader = Bytes<'a>;
    fn declare() -> Vec<Field> {
        Vec::new()
    }
    fn open(keys: &'a KeySet) -> Result<Self::Reader, String> {
        Bytes::open(&keys.bytes, count(keys)).ok_or_else(|| "the keys are not a column".to_owned())
    }
    fn read(reader: &Self::Reader, index: usize) -> Self {
        Self(reader.get(index))
    }
}

impl<'a, F: Fields<'a>> Key<'a> for F {
    type Reader = F::Columns;
    fn declare() -> Vec<Field> {
        F::declare()
    }
    fn open(keys: &'a KeySet) -> Result<Self::Reader, String> {
        F::open(&Source::of_keys(&keys.fields, count(keys)))
    }
    fn read(reader: &Self::Reader, index: usize) -> Self {
        F::read(reader, index)
    }
}

fn column(keys: &KeySet, index: usize) -> Result<&Column, String> {
    keys.fields.get(index).ok_or_else(|| format!("field {} of the key was not sent", index + 1))
}

macro_rules! single {
    ($($type:ty),*) => {
        $(impl<'a> Key<'a> for $type {
            type Reader = <$type as Cell<'a>>::Reader;
            fn declare() -> Vec<Field> {
                vec![batch::field("key", <$type as Cell>::KIND, false, "")]
            }
            fn open(keys: &'a KeySet) -> Result<Self::Reader, String> {
                cell::open::<$type>(column(keys, 0)?, count(keys), "key")
            }
            fn read(reader: &Self::Reader, index: usize) -> Self {
                <$type as Cell>::read(reader, index)
            }
        })*
    };
}

single!(bool, i32, i64, Timestamp, Date, &'a str, String, &'a [u8], Vec<u8>);

macro_rules! tuple {
    ($($type:ident $index:tt $name:literal),*) => {
        impl<'a, $($type: Cell<'a>),*> Key<'a> for ($($type,)*) {
            type Reader = ($($type::Reader,)*);
            fn declare() -> Vec<Field> {
                vec![$(batch::field($name, $type::KIND, $type::OPTIONAL, "")),*]
            }
            fn open(keys: &'a KeySet) -> Result<Self::Reader, String> {
                Ok(($(cell::open::<$type>(column(keys, $index)?, count(keys), $name)?,)*))
            }
            fn read(reader: &Self::Reader, index: usize) -> Self {
                ($($type::read(&reader.$index, index),)*)
            }
        }
    };
}

tuple!(A 0 "key_1");
tuple!(A 0 "key_1", B 1 "key_2");
tuple!(A 0 "key_1", B 1 "key_2", C 2 "key_3");
tuple!(A 0 "key_1", B 1 "key_2", C 2 "key_3", D 3 "key_4");
