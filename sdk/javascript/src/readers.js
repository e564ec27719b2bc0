// Columns of a batch as functions from the number of a row to its value.
//
// The rule: opening costs nothing that is not read; a 64-bit integer that a number cannot hold is refused, never rounded.
// Left to others: the object that an author sees (`rows.js`).

import { Decimal, fromBytes } from './decimal.js';
import { Reject } from './failures.js';
import { OPERATIONS } from './kinds.js';
import { bytes, decode, reader as textReader } from './text.js';

const SAFE = Number.MAX_SAFE_INTEGER;

/** The reader of a field's column. `path` is for the words of an error. */
export function open(column, kind, path) {
  const { tag, val } = column.values;
  if (tag !== kind.wire) throw new TypeError(`field \`${path}\` came as ${tag}, declared is ${kind.wire}`);
  const read = READERS[kind.name](val, path);
  const nulls = column.null;
  if (nulls.length === 0) return read;
  if (!kind.nullable) throw new TypeError(`field \`${path}\` has cells without a value; declare it as optional(...)`);
  return (row) => (nulls[row] === 0 ? read(row) : null);
}

const plain = (cells) => (row) => cells[row];

const READERS = {
  boolean: (cells) => (row) => cells[row] !== 0,
  int32: plain,
  date: plain,
  float64: plain,
  int64: safe,
  timestamp: safe,
  bigint: (cells, path) => {
    const read = safe(cells, path);
    return (row) => (typeof cells[row] === 'bigint' ? cells[row] : BigInt(read(row)));
  },
  text: textReader,
  jsonText: textReader,
  json: (column) => {
    const read = textReader(column);
    return (row) => JSON.parse(read(row));
  },
  binary: (column) => {
    const data = bytes(column.data);
    const { offsets } = column;
    return (row) => data.subarray(offsets[row], offsets[row + 1]);
  },
  decimal: ({ unscaled, scale }) => {
    const data = bytes(unscaled.data);
    const { offsets } = unscaled;
    return (row) => new Decimal(fromBytes(data.subarray(offsets[row], offsets[row + 1])), scale);
  },
};

function safe(cells, path) {
  return (row) => {
    const value = Number(cells[row]);
    if (value > SAFE || value < -SAFE) throw tooLarge(path, cells[row]);
    return value;
  };
}

function tooLarge(path, value) {
  const advice = 'make it text in a `select:` step before, or leave it out';
  return new Reject('integer_too_large', `field \`${path}\` is about ${value}, more than a number of JavaScript holds exactly: ${advice}`);
}

/** The reader of what a record carries beside its fields. */
export function openIdentity(batch, identity) {
  return IDENTITIES[identity.name](batch);
}

const IDENTITIES = {
  partitionKey: (batch) => textReader(batch.partitionKey),
  eventTime: (batch) => safe(batch.eventUs, 'event time'),
  arrivalTime: (batch) => safe(batch.arrivalUs, 'arrival time'),
  operation: (batch) => (row) => OPERATIONS[batch.operation.length === 0 ? 0 : batch.operation[row]],
  payload: (batch) => {
    const data = bytes(batch.payload.data);
    const { offsets } = batch.payload;
    return (row) => data.subarray(offsets[row], offsets[row + 1]);
  },
  position: (batch) => {
    const { sequence, shards, shardIndex, subSequence } = batch;
    const data = bytes(sequence.data);
    return (row) => ({
      shard: shards[shardIndex[row]],
      sequence: decode(data.subarray(sequence.offsets[row], sequence.offsets[row + 1])),
      subSequence: subSequence[row],
    });
  },
};
