// JSON rows as the batch that the host would send.
//
// The rule: what the host would not send (a missing field, a number that does not fit) is refused with words.
// Left to others: who calls with it.

import { Decimal, toBytes } from '../src/decimal.js';
import { ABSENT, bytesColumn, column as textColumn } from '../src/text.js';

export const NOW_MS = 1_700_000_000_000;

/** `keys` says which keys there are and whose each row is; `first` is the place of the first row in the whole input. */
export function batchOf(input, index, rows, { keys = null, first = 0, watermarkMs = null } = {}) {
  const { identity } = input;
  const when = (flag, cells) => (identity[flag] ? cells() : []);
  return {
    input: index,
    count: rows.length,
    nowMs: NOW_MS,
    seed: 1,
    watermarkMs,
    keys: keys === null ? { bytes: ABSENT, fields: [] } : keys.set,
    keyIndex: keys === null ? [] : keys.of,
    shards: ['test/shardId-000000000000'],
    shardIndex: when('position', () => rows.map(() => 0)),
    sequence: identity.position ? textColumn(rows.map((_, at) => String(first + at))) : ABSENT,
    subSequence: when('position', () => rows.map(() => 0)),
    partitionKey: identity.partitionKey ? textColumn(rows.map((row) => row._partition_key ?? '')) : ABSENT,
    eventUs: when('eventTime', () => rows.map((row) => row._event_time ?? 0)),
    arrivalUs: when('arrivalTime', () => rows.map((row) => row._arrival_time ?? 0)),
    operation: new Uint8Array(0),
    payload: identity.payload ? textColumn(rows.map((row) => JSON.stringify(row))) : ABSENT,
    fields: input.fields.map((field) => columnOf(field, rows)),
  };
}

export const lookup = (row, path) => path.split('.').reduce((value, name) => value?.[name] ?? null, row);

export function columnOf({ path, kind, optional }, rows) {
  const found = rows.map((row) => lookup(row, path));
  const nulls = found.map((value) => (value === null ? 1 : 0));
  const any = nulls.includes(1);
  if (any && !optional) throw new Error(`field \`${path}\` has no value in some row, but is not optional`);
  const write = VALUES[kind];
  try {
    return { values: { tag: kind, val: write(found) }, null: any ? Uint8Array.from(nulls) : new Uint8Array(0) };
  } catch (error) {
    throw new Error(`field \`${path}\`: ${error.message}`);
  }
}

function each(found, zero, wanted, fits, write = (value) => value) {
  return found.map((value) => {
    if (value === null) return zero;
    if (!fits(value)) throw new Error(`${JSON.stringify(value)} is not ${wanted}`);
    return write(value);
  });
}

const isText = (value) => typeof value === 'string';
const isBig = (value) => Number.isInteger(value) || typeof value === 'bigint';
const longs = (found) => each(found, 0, 'a whole number', isBig, (value) => Number(value));
const ints = (found) => each(found, 0, 'a whole number of 32 bits', (value) => (value | 0) === value);

const VALUES = {
  boolean: (found) => Uint8Array.from(each(found, 0, 'true or false', (value) => typeof value === 'boolean', Number)),
  int32: ints,
  date: ints,
  int64: longs,
  timestamp: longs,
  float64: (found) => each(found, 0, 'a number', (value) => Number.isFinite(value) || !Number.isNaN(Number.parseFloat(value)) || value === 'NaN', Number),
  text: (found) => textColumn(each(found, '', 'text', isText)),
  json: (found) => textColumn(found.map((value) => (value === null ? '' : JSON.stringify(value)))),
  // As text where the bytes are UTF-8, else as a list of numbers.
  binary: (found) => bytesColumn(each(found, new Uint8Array(0), 'text or a list of bytes', (value) => isText(value) || Array.isArray(value), (value) => (isText(value) ? new TextEncoder().encode(value) : Uint8Array.from(value)))),
  decimal(found) {
    const cells = each(found, new Decimal(0n), 'a number or a decimal as text', (value) => isText(value) || typeof value === 'number', Decimal.of);
    const scale = cells.reduce((most, cell) => Math.max(most, cell.scale), 0);
    return { unscaled: bytesColumn(cells.map((cell) => toBytes(cell.at(scale)))), scale };
  },
};
