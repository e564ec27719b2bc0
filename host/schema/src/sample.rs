//! Values of a schema, made from a seed, as the bytes that a writer would have written: something to try a schema with.
//!
//! The rule: the same seed gives the same bytes; recursion and sizes are bounded. Left to others: reading them.

use crate::{
    default::long,
    types::{AvroSchema, Logical, Shape, TypeId, Unit},
};

/// How deep values nest before every choice is the shortest one.
const DEEP: usize = 6;
/// How deep they nest at all.
const MOST_DEPTH: usize = 64;
/// How many values are begun: what has no end in one branch is tried in the others.
const MOST_VALUES: usize = 20_000;
/// The largest fixed that is filled.
const MOST_FIXED: usize = 1 << 20;

/// A source of numbers that repeats by its seed (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below the bound, which is not 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// True so often in a hundred.
    pub fn percent(&mut self, often: u64) -> bool {
        self.bits() % 100 < often
    }
}

/// The bytes of one value. `None` where the schema has no value of bounded depth.
pub fn value(schema: &AvroSchema, seed: u64) -> Option<Vec<u8>> {
    let mut sample = Sample { schema, dice: Dice(seed), out: Vec::new(), values_left: MOST_VALUES };
    sample.any(schema.root(), "", 0)?;
    Some(sample.out)
}

struct Sample<'a> {
    schema: &'a AvroSchema,
    dice: Dice,
    out: Vec<u8>,
    values_left: usize,
}

impl Sample<'_> {
    fn any(&mut self, id: TypeId, name: &str, depth: usize) -> Option<()> {
        if depth > MOST_DEPTH {
            return None;
        }
        self.values_left = self.values_left.checked_sub(1)?;
        let one = self.schema.get(id);
        match &one.shape {
            Shape::Null => {}
            Shape::Boolean => self.out.push(u8::from(self.dice.percent(50))),
            Shape::Int | Shape::Long => {
                let value = self.whole(one.logical);
                long(value, &mut self.out);
            }
            Shape::Float => self.out.extend_from_slice(&((self.dice.below(10_000) as f32) / 100.0).to_le_bytes()),
            Shape::Double => self.out.extend_from_slice(&((self.dice.below(1_000_000) as f64) / 100.0).to_le_bytes()),
            // In bytes a uuid is its sixteen ones, not its text.
            Shape::Bytes if one.logical == Some(Logical::Uuid) => {
                let bytes = self.uuid().to_be_bytes();
                self.out.push(32);
                self.out.extend_from_slice(&bytes);
            }
            Shape::Bytes | Shape::String => self.text(one.logical, name),
            Shape::Fixed { size, .. } => {
                let size = (*size <= MOST_FIXED).then_some(*size)?;
                // Small numbers, so that a decimal is one.
                self.out.extend((0..size).map(|at| if at + 1 == size { 42 } else { 0 }));
            }
            Shape::Enum { symbols, .. } => {
                let place = (!symbols.is_empty()).then(|| self.dice.below(symbols.len()))?;
                long(place as i64, &mut self.out);
            }
            Shape::Array(item) => self.items(*item, name, false, depth)?,
            Shape::Map(value) => self.items(*value, name, true, depth)?,
            Shape::Union(branches) => self.branch(branches, name, depth)?,
            Shape::Record { fields, .. } => {
                for field in fields {
                    self.any(field.id, &field.name, depth + 1)?;
                }
            }
        }
        Some(())
    }

    fn whole(&mut self, logical: Option<Logical>) -> i64 {
        let day = 20_000 + self.dice.below(700) as i64;
        let micros = day * 86_400_000_000 + self.dice.below(86_400) as i64 * 1_000_000;
        match logical {
            Some(Logical::Date) => day,
            Some(Logical::Time(step)) => self.dice.below(86_400) as i64 * 1_000_000 / step,
            Some(Logical::Timestamp(Unit::Millis)) => micros / 1000,
            Some(Logical::Timestamp(Unit::Micros)) => micros,
            Some(Logical::Timestamp(Unit::Nanos)) => micros * 1000,
            _ => self.dice.below(1000) as i64,
        }
    }

    fn uuid(&mut self) -> u128 {
        (u128::from(self.dice.bits()) << 64 | u128::from(self.dice.bits())) & !(0xf << 76) | (4 << 76)
    }

    fn text(&mut self, logical: Option<Logical>, name: &str) {
        let bytes = match logical {
            Some(Logical::Uuid) => {
                let bits = self.uuid();
                let digits = format!("{bits:032x}");
                [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-").into_bytes()
            }
            Some(_) => vec![self.dice.below(100) as u8, self.dice.bits() as u8],
            None => format!("{name} {}", self.dice.below(100)).trim().as_bytes().to_vec(),
        };
        long(bytes.len() as i64, &mut self.out);
        self.out.extend_from_slice(&bytes);
    }

    fn items(&mut self, inner: TypeId, name: &str, has_keys: bool, depth: usize) -> Option<()> {
        let count = if depth >= DEEP { 0 } else { self.dice.below(3) };
        if count > 0 {
            long(count as i64, &mut self.out);
            for number in 0..count {
                if has_keys {
                    self.out.extend_from_slice(&[4, b'k', b'1' + number as u8]);
                }
                self.any(inner, name, depth + 1)?;
            }
        }
        self.out.push(0);
        Some(())
    }

    fn branch(&mut self, branches: &[TypeId], name: &str, depth: usize) -> Option<()> {
        let first = (!branches.is_empty()).then(|| if depth >= DEEP { 0 } else { self.dice.below(branches.len()) })?;
        let mark = self.out.len();
        // One that nests without end is left for the next.
        (0..branches.len()).map(|step| (first + step) % branches.len()).find_map(|place| {
            self.out.truncate(mark);
            long(place as i64, &mut self.out);
            self.any(branches[place], name, depth + 1)
        })
    }
}
