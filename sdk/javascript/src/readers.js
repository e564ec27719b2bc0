// Columns of a batch as the members of a row.
//
// The rule: opening costs nothing that is not read; a 64-bit integer that a number cannot hold is refused, never rounded.
// Left to others: the object that an author sees (`rows.js`).

import { Decimal, fromBytes } from './decimal.js';
import { Reject } from './failures.js';
import { OPERATIONS } from './kinds.js';
import { bytes, reader as textReader } from './text.js';

const SAFE = Number.MAX_SAFE_INTEGER;

/**
 * Where a member's values come from. `open(column)` or `open(batch)` is called once a batch, `get` is the getter of a row's class: it reads
 * at `this.index`. One call a read; that is why the columns are kept in closures.
 */
export function memberOf(kind, path) {
  const { open, get } = KINDS[kind.name](path);
  let nulls = NONE;
  return {
    open(column) {
      const { tag, val } = column.values;
      if (tag !== kind.wire) throw new TypeError(`field \`${path}\` came as ${tag}, declared is ${kind.wire}`);
      nulls = column.null;
      if (nulls.length > 0 && !kind.nullable) throw new TypeError(`field \`${path}\` has cells without a value; declare it as optional(...)`);
      open(val);
    },
    get: kind.nullable ? nullable(get, (row) => nulls.length > 0 && nulls[row] !== 0) : get,
  };
}

const NONE = [];

function nullable(get, isNull) {
  return function orNull() {
    return isNull(this.index) ? null : get.call(this);
  };
}

function plain() {
  let cells = NONE;
  return {
    open: (val) => (cells = val),
    get() {
      return cells[this.index];
    },
  };
}

/** Whole numbers of 64 bits, as numbers. */
function safe(path) {
  let cells = NONE;
  return {
    open: (val) => (cells = val),
    get() {
      let value = cells[this.index];
      if (typeof value === 'bigint') value = Number(value);
      if (value > SAFE || value < -SAFE) throw tooLarge(path, value);
      return value;
    },
  };
}

function exact(path) {
  let cells = NONE;
  return {
    open: (val) => (cells = val),
    get() {
      const value = cells[this.index];
      if (value > SAFE || value < -SAFE) if (typeof value !== 'bigint') throw tooLarge(path, value);
      return BigInt(value);
    },
  };
}

/** Text, or what `make` makes of it. The work is done when the first cell is read. */
function texts(make) {
  let read = null;
  const get = function text() {
    return read(this.index);
  };
  return {
    open: (column) => (read = textReader(column)),
    get: make === undefined ? get : function made() {
      return make(read(this.index));
    },
  };
}

function binaries() {
  let data;
  let offsets;
  return {
    open(column) {
      data = bytes(column.data);
      offsets = column.offsets;
    },
    get() {
      return data.subarray(offsets[this.index], offsets[this.index + 1]);
    },
  };
}

function decimals() {
  const digits = binaries();
  let scale = 0;
  return {
    open(val) {
      digits.open(val.unscaled);
      scale = val.scale;
    },
    get() {
      return new Decimal(fromBytes(digits.get.call(this)), scale);
    },
  };
}

function booleans() {
  let cells = NONE;
  return {
    open: (val) => (cells = val),
    get() {
      return cells[this.index] !== 0;
    },
  };
}

const KINDS = {
  boolean: booleans,
  int32: plain,
  date: plain,
  float64: plain,
  int64: safe,
  timestamp: safe,
  bigint: exact,
  text: () => texts(),
  jsonText: () => texts(),
  json: () => texts(JSON.parse),
  binary: binaries,
  decimal: decimals,
};

function tooLarge(path, value) {
  const advice = 'make it text in a `select:` step before, or leave it out';
  return new Reject('integer_too_large', `field \`${path}\` is about ${value}, more than a number of JavaScript holds exactly: ${advice}`);
}

/** As `memberOf`, for what a record carries beside its fields. */
export function identityOf(identity) {
  return IDENTITIES[identity.name]();
}

function from(member, columnOf) {
  return { open: (batch) => member.open(columnOf(batch)), get: member.get };
}

const IDENTITIES = {
  partitionKey: () => from(texts(), (batch) => batch.partitionKey),
  eventTime: () => from(safe('event time'), (batch) => batch.eventUs),
  arrivalTime: () => from(safe('arrival time'), (batch) => batch.arrivalUs),
  payload: () => from(binaries(), (batch) => batch.payload),
  operation() {
    let codes = NONE;
    return {
      open: (batch) => (codes = batch.operation),
      get() {
        return OPERATIONS[codes.length === 0 ? 0 : codes[this.index]];
      },
    };
  },
  position() {
    let batch;
    let sequence;
    return {
      open(opened) {
        batch = opened;
        sequence = textReader(opened.sequence);
      },
      get() {
        return { shard: batch.shards[batch.shardIndex[this.index]], sequence: sequence(this.index), subSequence: batch.subSequence[this.index] };
      },
    };
  },
};
