//! Changes of inputs that follow from a seed, for where no fuzzer runs.
//!
//! The rule: the same dice give the same bytes. Left to others: choosing what is worth changing.

use pelton_schema::sample::Dice;

/// Values at the edges of what is read.
const EDGES: [&[u8]; 10] = [
    &[0x00],
    &[0x01],
    &[0x7f],
    &[0x80],
    &[0xff],
    &[0xfe, 0xff, 0xff, 0xff, 0x0f],
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    &[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80],
    b"\"",
    b"}",
];

/// A changed copy: one to four changes. `other` is what parts are taken from.
pub fn mutated(dice: &mut Dice, input: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for _ in 0..1 + dice.below(4) {
        let at = dice.below(bytes.len() + 1);
        let end = at + dice.below((bytes.len() - at).min(16) + 1);
        match dice.below(7) {
            0 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
            1 if at < bytes.len() => bytes[at] = dice.bits() as u8,
            2 => drop(bytes.splice(at..end, EDGES[dice.below(EDGES.len())].iter().copied())),
            3 => drop(bytes.drain(at..end)),
            4 => {
                let part = bytes[at..end].to_vec();
                drop(bytes.splice(at..at, part));
            }
            5 if !other.is_empty() => {
                let from = dice.below(other.len());
                let to = from + dice.below((other.len() - from).min(64) + 1);
                drop(bytes.splice(at..end, other[from..to].iter().copied()));
            }
            6 if at > 4 => bytes.truncate(at),
            _ => bytes.insert(at, dice.bits() as u8),
        }
    }
    bytes
}
