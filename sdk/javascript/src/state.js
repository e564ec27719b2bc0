// Keyed state as an author sees it: a key of this call, and its tables.
//
// The rule: a table is reached through a key of the call, so nothing outside of it can be named; writes count when the call returns.
// Left to others: bytes of a value (`shape.js`), who calls with which keys (`worlds/`).

import { host } from './host.js';
import { Kind } from './kinds.js';
import { tableOf } from './manifest.js';
import { shapeOf } from './shape.js';
import { bytes, bytesColumn, decode, encode } from './text.js';
import { cell, openKeys } from './worlds/aggregator.js';

const NO_SUB_KEY = new Uint8Array(0);
const RESERVED = ['index', 'fields', 'timers', 'state', 'isNew', 'clear'];

/**
 * A table: `{ value, subKey, prefetch, ttlMs, version, migrate }`. `value` is a kind, kept as its bare bytes, or a shape as for
 * accumulators; `subKey` makes it a map within each key.
 */
export const table = (declared) => ({ ...declared });

const RAW = {
  text: { encode, decode },
  jsonText: { encode, decode },
  json: { encode: (value) => encode(JSON.stringify(value)), decode: (data) => JSON.parse(decode(data)) },
  binary: { encode: (value) => value, decode: (data) => data },
};

function raw(kind, { version = 1, migrate = {} }, what) {
  const codec = RAW[kind.name];
  if (codec === undefined) throw new TypeError(`${what} cannot be a bare ${kind.name}: take text, json or binary, or a shape such as { count: int64 }`);
  return {
    ...codec,
    version,
    migratesFrom: Object.keys(migrate).map(Number),
    migrate(from, data, of) {
      if (!(from in migrate)) throw new Error(`no migration of ${what} from version ${from} to version ${version}`);
      return codec.encode(migrate[from](data, of));
    },
  };
}

/** Codecs and declarations of the tables of a definition. */
export function tablesOf(declared, name) {
  return declared.map(([table, options]) => {
    if (RESERVED.includes(table)) throw new TypeError(`a table of \`${name}\` cannot be called \`${table}\`, take another name`);
    const what = `table \`${table}\` of \`${name}\``;
    const { value = {} } = options;
    const codec = value instanceof Kind ? raw(value, options, what) : shapeOf(value, what);
    return { name: table, codec, subKey: options.subKey ? raw(options.subKey, {}, `the sub-key of ${what}`) : null, options };
  });
}

export const manifestTables = (tables) =>
  tables.map(({ name, codec, options }) => tableOf(name, { prefetch: options.prefetch ?? false, ttlMs: options.ttlMs ?? null, schemaVersion: codec.version, migratesFrom: codec.migratesFrom }));

/** One value a key. */
class Value {
  constructor(keys, index, codec) {
    Object.assign(this, { keys, index, codec });
  }

  /** The value, or null. */
  get() {
    return this.read(NO_SUB_KEY);
  }

  put(value) {
    host.state.put(this.index, this.keys.index, NO_SUB_KEY, this.codec.encode(value));
  }

  delete() {
    host.state.delete(this.index, this.keys.index, NO_SUB_KEY);
  }

  /** The value of every key of the call, null where there is none: one crossing of the boundary. */
  all() {
    const { cells, present } = host.state.getMany(this.index, this.keys.every());
    return Array.from(present, (there, index) => (there === 0 ? null : this.codec.decode(cell(cells, index))));
  }

  /** Writes the value of every key of the call; null deletes. */
  putAll(values) {
    const present = Uint8Array.from(values, (value) => (value === null ? 0 : 1));
    const cells = values.map((value) => (value === null ? NO_SUB_KEY : this.codec.encode(value)));
    host.state.putMany(this.index, this.keys.every(), { cells: bytesColumn(cells), present });
  }

  read(subKey) {
    const found = host.state.get(this.index, this.keys.index, subKey);
    return found === null || found === undefined ? null : this.codec.decode(bytes(found));
  }
}

/** Many values a key, in the order of their sub-keys. */
class Entries extends Value {
  constructor(keys, index, codec, subKey) {
    super(keys, index, codec);
    this.subKey = subKey;
  }

  get(subKey) {
    return this.read(this.subKey.encode(subKey));
  }

  put(subKey, value) {
    host.state.put(this.index, this.keys.index, this.subKey.encode(subKey), this.codec.encode(value));
  }

  delete(subKey) {
    host.state.delete(this.index, this.keys.index, this.subKey.encode(subKey));
  }

  /** `[sub-key, value]` pairs from `start` up to but without `end`, fetched `page` at a time. */
  *scan({ start, end, page = 100 } = {}) {
    let from = start === undefined || start === null ? NO_SUB_KEY : this.subKey.encode(start);
    const to = end === undefined || end === null ? NO_SUB_KEY : this.subKey.encode(end);
    for (;;) {
      const { subKeys, values, more } = host.state.scan(this.index, this.keys.index, from, to, page);
      const count = Math.max(0, subKeys.offsets.length - 1);
      for (let index = 0; index < count; index++) yield [this.subKey.decode(cell(subKeys, index)), this.codec.decode(cell(values, index))];
      if (!more || count === 0) return;
      const last = cell(subKeys, count - 1);
      from = new Uint8Array(last.length + 1);
      from.set(last);
    }
  }
}

/** Timers of the current key. */
class KeyTimers {
  constructor(key, timers) {
    Object.assign(this, { key, timers });
  }

  /** Fires when the watermark has come to `atMs`; a timer of the same tag is replaced. */
  eventTime(tag, atMs) {
    this.timers.add(this.key.index, tag, 'event-time', atMs, 1);
  }

  /** Fires when the clock has come to `atMs`. */
  processingTime(tag, atMs) {
    this.timers.add(this.key.index, tag, 'processing-time', atMs, 1);
  }

  cancel(tag, domain = 'event-time') {
    this.timers.add(this.key.index, tag, domain, 0, 0);
  }
}

/** The key of the current record or timer: the same object each time, as a row is. */
export class Key {
  constructor(parts, keySet, tables, timers) {
    this.index = 0;
    this._fields = openKeys(parts, keySet);
    this._count = Math.max(0, keySet.bytes.offsets.length - 1);
    this.timers = new KeyTimers(this, timers);
    tables.forEach(({ name, codec, subKey }, index) => {
      this[name] = subKey === null ? new Value(this, index, codec) : new Entries(this, index, codec, subKey);
    });
  }

  /** The fields of the step's key, by name. */
  get fields() {
    return this._fields(this.index);
  }

  /** Every key of the call. */
  every() {
    return Array.from({ length: this._count }, (_, index) => index);
  }
}

