// Accumulators and state as objects: a declared shape, and the bytes that it is in the host's keeping.
//
// The rule: a version byte, then the fields in the order declared; what another version wrote is read by `migrate` alone.
// Left to others: bytes (`bytes.js`), when it is read and written (`worlds/`).

import { Reader, Writer } from './bytes.js';
import { Decimal } from './decimal.js';
import { describe, Kind } from './kinds.js';

const CODECS = {
  boolean: { zero: () => false, write: (to, value) => to.byte(value ? 1 : 0), read: (from) => from.byte() !== 0 },
  int32: { zero: () => 0, write: (to, value) => to.int32(value), read: (from) => from.int32() },
  int64: { zero: () => 0, write: whole, read: (from) => from.int64() },
  bigint: { zero: () => 0n, write: (to, value) => to.int64(BigInt(value)), read: (from) => from.bigint() },
  float64: { zero: () => 0, write: (to, value) => to.float64(value), read: (from) => from.float64() },
  text: { zero: () => '', write: (to, value) => to.text(value), read: (from) => from.text() },
  binary: { zero: () => new Uint8Array(0), write: (to, value) => to.chunk(value), read: (from) => from.chunk() },
  json: { zero: () => null, write: (to, value) => to.text(JSON.stringify(value)), read: (from) => JSON.parse(from.text()) },
  decimal: { zero: () => new Decimal(0n), write: (to, value) => to.text(String(value)), read: (from) => Decimal.of(from.text()) },
};
CODECS.timestamp = CODECS.int64;
CODECS.date = CODECS.int32;
CODECS.jsonText = CODECS.text;

function whole(to, value) {
  if (typeof value !== 'bigint' && !Number.isSafeInteger(value)) throw new RangeError(`${describe(value)} is no whole number that is exact`);
  to.int64(value);
}

function codec(kind) {
  if (!(kind instanceof Kind)) throw new TypeError(`${describe(kind)} is no kind: take int64, float64, text, list(...), ...`);
  const plain = kind.wire === 'list' ? listCodec(codec(kind.element)) : CODECS[kind.name];
  if (!kind.nullable) return plain;
  return {
    zero: () => null,
    write(to, value) {
      const there = value !== null && value !== undefined;
      to.byte(there ? 1 : 0);
      if (there) plain.write(to, value);
    },
    read: (from) => (from.byte() === 0 ? null : plain.read(from)),
  };
}

function listCodec(element) {
  return {
    zero: () => [],
    write(to, values) {
      to.uint32(values.length);
      for (const value of values) element.write(to, value);
    },
    read: (from) => Array.from({ length: from.uint32() }, () => element.read(from)),
  };
}

/**
 * The codec of a shape `{ count: int64, total: float64 }`, of `{ version: 2, fields: {...}, migrate: { 1: bytes => object } }`, or of
 * `{ version, empty, encode, decode, migrate }` by hand. Beside `encode` and `decode`: `empty()`, `version`, `migrate`.
 */
export function shapeOf(declared, what) {
  const whole = isWhole(declared) ? declared : { fields: declared };
  const version = whole.version ?? 1;
  if (!Number.isInteger(version) || version < 1 || version > 255) throw new TypeError(`the version of ${what} is ${describe(version)}, expected 1 to 255`);
  const body = whole.encode ? byHand(whole) : ofFields(whole.fields);
  const migrations = whole.migrate ?? {};
  return {
    version,
    migratesFrom: Object.keys(migrations).map(Number),
    empty: body.empty,
    encode(value) {
      const to = new Writer();
      to.byte(version);
      body.write(to, value);
      return to.finish();
    },
    decode(bytes) {
      if (bytes.length === 0) return body.empty();
      if (bytes[0] !== version) throw new Error(`${what} has version ${bytes[0]}, this plugin reads version ${version}`);
      const from = new Reader(bytes, what);
      from.at = 1;
      return body.read(from);
    },
    migrate(from, bytes, of) {
      const migration = migrations[from];
      if (migration === undefined) throw new Error(`no migration of ${what} from version ${from} to version ${version}`);
      return this.encode(migration(bytes, of));
    },
  };
}

/** For `migrate`: what a version with these fields wrote, read, and made a value of now by `turn`. */
export function older(fields, turn) {
  const body = ofFields(fields);
  return (bytes, of) => {
    const from = new Reader(bytes, 'a value of an older version');
    from.at = 1;
    return turn(body.read(from), of);
  };
}

function isWhole(declared) {
  return Object.values(declared).some((member) => typeof member === 'function') || 'fields' in declared && !(declared.fields instanceof Kind);
}

function byHand({ empty, encode, decode }) {
  return {
    empty,
    write(to, value) {
      for (const byte of encode(value)) to.byte(byte);
    },
    read: (from) => decode(from.bytes.subarray(1)),
  };
}

function ofFields(fields) {
  const names = Object.keys(fields);
  const codecs = names.map((name) => codec(fields[name]));
  return {
    empty() {
      const value = {};
      for (let index = 0; index < names.length; index++) value[names[index]] = codecs[index].zero();
      return value;
    },
    write(to, value) {
      for (let index = 0; index < names.length; index++) codecs[index].write(to, value[names[index]]);
    },
    read(from) {
      const value = {};
      for (let index = 0; index < names.length; index++) value[names[index]] = codecs[index].read(from);
      from.ended();
      return value;
    },
  };
}
