//! The exact sum of floating-point numbers: independent of the order in which they are added, rounded once at the end.
//!
//! A finite double is a whole multiple of 2^-1074, so a sum of doubles is a whole number in that unit: 64-bit limbs in two's complement,
//! limb 0 the smallest. Nearly always the numbers of a window lie close together, and four limbs hold their sum; where they do not, all
//! limbs do. The encoded form is the shortest, so that equal sums are equal bytes.

/// 2098 bits of the largest double, 64 bits for 2^64 of them, and a sign.
const LIMBS: usize = 36;
const NARROW: usize = 4;

#[derive(Clone, Debug)]
pub struct Sum {
    limbs: Limbs,
}

#[derive(Clone, Debug)]
enum Limbs {
    /// Limbs `base..base + 4`; those below are zero and those above repeat the sign.
    Narrow {
        base: usize,
        limbs: [u64; NARROW],
    },
    Wide(Box<[u64; LIMBS]>),
}

impl Default for Sum {
    fn default() -> Self {
        Self { limbs: Limbs::Narrow { base: LIMBS, limbs: [0; NARROW] } }
    }
}

impl Sum {
    /// Adds a finite number.
    #[inline]
    pub fn add(&mut self, value: f64) {
        debug_assert!(value.is_finite());
        let bits = value.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as usize;
        let fraction = bits & ((1 << 52) - 1);
        let (mantissa, shift) = if exponent == 0 { (fraction, 0) } else { (fraction | (1 << 52), exponent - 1) };
        if mantissa == 0 {
            return;
        }
        let (limb, wide) = (shift / 64, u128::from(mantissa) << (shift % 64));
        let signed = if value < 0.0 { (wide as i128).wrapping_neg() } else { wide as i128 };
        if let Limbs::Narrow { base, limbs } = &mut self.limbs {
            if *base == LIMBS {
                *base = limb.saturating_sub(1);
            }
            // The top limb keeps at least 63 additions' bits free: see `widen_if_full`.
            if let Some(offset @ 0..=1) = limb.checked_sub(*base) {
                add_at(limbs, offset, signed);
                if limbs[NARROW - 1].wrapping_add(1 << 62) >> 63 != 0 {
                    self.widen();
                }
                return;
            }
        }
        add_at(self.widen(), limb, signed);
    }

    #[cold]
    fn widen(&mut self) -> &mut [u64; LIMBS] {
        if let Limbs::Narrow { .. } = self.limbs {
            self.limbs = Limbs::Wide(Box::new(self.all()));
        }
        match &mut self.limbs {
            Limbs::Wide(limbs) => limbs,
            Limbs::Narrow { .. } => unreachable!("it was widened just before"),
        }
    }

    /// Every limb.
    fn all(&self) -> [u64; LIMBS] {
        match &self.limbs {
            Limbs::Wide(limbs) => **limbs,
            Limbs::Narrow { base, limbs } => {
                let fill = if limbs[NARROW - 1] >> 63 == 1 { u64::MAX } else { 0 };
                let mut all = [0; LIMBS];
                for (index, limb) in all.iter_mut().enumerate().skip(*base) {
                    *limb = limbs.get(index - base).copied().unwrap_or(fill);
                }
                all
            }
        }
    }

    pub fn merge(&mut self, other: &Sum) {
        let (theirs, mine) = (other.all(), self.widen());
        let mut carry = false;
        for (mine, theirs) in mine.iter_mut().zip(theirs) {
            let (sum, first) = mine.overflowing_add(theirs);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            (*mine, carry) = (sum, first | second);
        }
    }

    /// The sum, rounded to nearest, ties to even.
    pub fn round(&self) -> f64 {
        let mut limbs = self.all();
        let negative = limbs[LIMBS - 1] >> 63 == 1;
        if negative {
            negate(&mut limbs);
        }
        let magnitude = round_magnitude(&limbs);
        if negative { -magnitude } else { magnitude }
    }

    /// First limb, then the limbs that say something, smallest first; nothing for zero.
    pub fn encode(&self, into: &mut Vec<u8>) {
        match &self.limbs {
            Limbs::Narrow { base, limbs } => encode_from(*base, limbs, into),
            Limbs::Wide(limbs) => encode_from(0, &limbs[..], into),
        }
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        let Some((first, rest)) = bytes.split_first() else {
            return Ok(Self::default());
        };
        let (limbs, left) = rest.as_chunks::<8>();
        let (first, count) = (usize::from(*first), limbs.len());
        if !left.is_empty() || count == 0 || first + count > LIMBS {
            return Err(format!("sum of {} bytes from limb {first} is damaged", rest.len()));
        }
        let value = |index: usize| u64::from_le_bytes(limbs[index]);
        let fill = if value(count - 1) >> 63 == 1 { u64::MAX } else { 0 };
        let at = |limb: usize| match limb.checked_sub(first) {
            None => 0,
            Some(index) if index < count => value(index),
            Some(_) => fill,
        };
        // One limb of room at the top and one below, as a new sum has.
        if count < NARROW && first + NARROW <= LIMBS {
            let base = if count < NARROW - 1 { first.saturating_sub(1) } else { first };
            return Ok(Self { limbs: Limbs::Narrow { base, limbs: std::array::from_fn(|index| at(base + index)) } });
        }
        Ok(Self { limbs: Limbs::Wide(Box::new(std::array::from_fn(at))) })
    }
}

/// The shortest form of limbs that begin at `base`; those above repeat the sign, those below are zero.
fn encode_from(base: usize, limbs: &[u64], into: &mut Vec<u8>) {
    let Some(first) = limbs.iter().position(|limb| *limb != 0) else {
        return;
    };
    let mut last = limbs.len() - 1;
    let sign = if limbs[last] >> 63 == 1 { u64::MAX } else { 0 };
    while last > first && limbs[last] == sign && limbs[last - 1] >> 63 == sign >> 63 {
        last -= 1;
    }
    into.push((base + first) as u8);
    limbs[first..=last].iter().for_each(|limb| into.extend_from_slice(&limb.to_le_bytes()));
}

/// Adds a signed number of 117 bits at limb `offset`.
#[inline]
fn add_at<const N: usize>(limbs: &mut [u64; N], offset: usize, value: i128) {
    let (low, high) = (value as u64, (value >> 64) as u64);
    let fill = if value < 0 { u64::MAX } else { 0 };
    let mut carry = false;
    for (index, limb) in limbs.iter_mut().enumerate().skip(offset) {
        let addend = match index - offset {
            0 => low,
            1 => high,
            _ => fill,
        };
        let (sum, first) = limb.overflowing_add(addend);
        let (sum, second) = sum.overflowing_add(u64::from(carry));
        (*limb, carry) = (sum, first | second);
    }
}

fn negate(limbs: &mut [u64; LIMBS]) {
    let mut carry = true;
    for limb in limbs {
        (*limb, carry) = (!*limb).overflowing_add(u64::from(carry));
    }
}

fn round_magnitude(limbs: &[u64; LIMBS]) -> f64 {
    let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else {
        return 0.0;
    };
    let length = top * 64 + 64 - limbs[top].leading_zeros() as usize;
    // Below 2^53 units every number is a double: as subnormal or with the smallest exponent.
    if length <= 53 {
        return f64::from_bits(limbs[0]);
    }
    let shift = length - 53;
    let bits_from = |start: usize| {
        let (limb, bit) = (start / 64, start % 64);
        let pair = u128::from(limbs[limb]) | (u128::from(limbs.get(limb + 1).copied().unwrap_or(0)) << 64);
        (pair >> bit) as u64
    };
    let mantissa = bits_from(shift) & ((1 << 53) - 1);
    let half = bits_from(shift - 1) & 1 == 1;
    let below = shift - 1;
    let sticky =
        limbs[..below / 64].iter().any(|limb| *limb != 0) || limbs[below / 64] & ((1 << (below % 64)) - 1) != 0;
    let up = half && (sticky || mantissa & 1 == 1);
    // A carry out of the mantissa raises the exponent, and past the largest number it makes infinity: both by plain addition.
    let bits = ((shift as u64) << 52) + mantissa + u64::from(up);
    if shift > 2045 { f64::INFINITY } else { f64::from_bits(bits) }
}
