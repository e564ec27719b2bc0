// Exact decimal numbers: an unscaled BigInt, and how many of its digits stand behind the point.
//
// The rule: no digit is ever lost; what cannot be said exactly throws.
// Left to others: columns of them (`readers.js`, `builders.js`).

export class Decimal {
  constructor(unscaled, scale = 0) {
    this.unscaled = BigInt(unscaled);
    this.scale = scale;
  }

  /** From `12.50`, a whole number or a BigInt. A number with a fraction is taken by its shortest text. */
  static of(value) {
    if (value instanceof Decimal) return value;
    if (typeof value === 'bigint') return new Decimal(value, 0);
    const found = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(String(value));
    if (found === null || (!found[2] && !found[3])) throw new TypeError(`${value} is no decimal: write it as "12.50"`);
    const [, sign, whole, fraction = '', exponent = '0'] = found;
    const unscaled = BigInt(whole + fraction) * (sign === '-' ? -1n : 1n);
    const scale = fraction.length - Number(exponent);
    return scale < 0 ? new Decimal(unscaled * 10n ** BigInt(-scale), 0) : new Decimal(unscaled, scale);
  }

  /** The unscaled number at another scale; throws where digits would be lost. */
  at(scale) {
    if (scale >= this.scale) return this.unscaled * 10n ** BigInt(scale - this.scale);
    const factor = 10n ** BigInt(this.scale - scale);
    if (this.unscaled % factor !== 0n) throw new RangeError(`${this} has more than ${scale} digits behind the point`);
    return this.unscaled / factor;
  }

  plus(other) {
    const right = Decimal.of(other);
    const scale = Math.max(this.scale, right.scale);
    return new Decimal(this.at(scale) + right.at(scale), scale);
  }

  times(other) {
    const right = Decimal.of(other);
    return new Decimal(this.unscaled * right.unscaled, this.scale + right.scale);
  }

  /** Negative, zero or positive, as in sorting. */
  compare(other) {
    const right = Decimal.of(other);
    const scale = Math.max(this.scale, right.scale);
    const difference = this.at(scale) - right.at(scale);
    return difference < 0n ? -1 : difference > 0n ? 1 : 0;
  }

  /** Perhaps rounded. */
  toNumber() {
    return Number(this.toString());
  }

  toString() {
    const digits = (this.unscaled < 0n ? -this.unscaled : this.unscaled).toString();
    const sign = this.unscaled < 0n ? '-' : '';
    if (this.scale <= 0) return sign + digits + '0'.repeat(digits === '0' ? 0 : -this.scale);
    const padded = digits.padStart(this.scale + 1, '0');
    return `${sign}${padded.slice(0, -this.scale)}.${padded.slice(-this.scale)}`;
  }

  toJSON() {
    return this.toString();
  }
}

/** Big-endian two's complement to a BigInt. */
export function fromBytes(bytes) {
  if (bytes.length === 0) return 0n;
  let hex = '';
  for (let index = 0; index < bytes.length; index++) hex += (bytes[index] + 256).toString(16).slice(1);
  const value = BigInt(`0x${hex}`);
  return bytes[0] & 0x80 ? value - (1n << BigInt(8 * bytes.length)) : value;
}

/** A BigInt as the shortest big-endian two's complement. */
export function toBytes(value) {
  let length = 1;
  while (BigInt.asIntN(8 * length, value) !== value) length++;
  let hex = BigInt.asUintN(8 * length, value).toString(16);
  hex = hex.padStart(2 * length, '0');
  return Uint8Array.from({ length }, (_, index) => Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16));
}
