// Output columns, cell by cell.
//
// The rule: a value is checked where it is pushed, so that the stack of an error leads to the author's line; nothing that does not fit is
// rounded or cut.
// Left to others: which cells belong to one row (`out.js`).

import { Decimal, toBytes } from './decimal.js';
import { engine } from './host.js';
import { describe, OPERATIONS } from './kinds.js';
import { bytesColumn, column as textColumn } from './text.js';

const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;
const NONE = new Uint8Array(0);

function wrong(value, wanted) {
  return new TypeError(`${describe(value)} is no ${wanted}`);
}

/** Checks of the kinds: they give the value as it is kept, or throw. */
const CHECKS = {
  boolean(value) {
    if (typeof value !== 'boolean') throw wrong(value, 'boolean');
    return value ? 1 : 0;
  },
  int32(value) {
    if (typeof value !== 'number' || (value | 0) !== value) throw wrong(value, 'whole number of 32 bits');
    return value;
  },
  int64(value) {
    if (typeof value === 'bigint' && value >= LEAST && value <= MOST) return value;
    if (!Number.isSafeInteger(value)) throw wrong(value, 'whole number that is exact: give a BigInt beyond 2^53');
    return value;
  },
  float64(value) {
    if (typeof value !== 'number') throw wrong(value, 'number');
    return value;
  },
  text(value) {
    if (typeof value !== 'string') throw wrong(value, 'string');
    return value;
  },
  binary(value) {
    if (!(value instanceof Uint8Array)) throw wrong(value, 'Uint8Array');
    return value;
  },
  decimal(value) {
    if (!['string', 'number', 'bigint'].includes(typeof value) && !(value instanceof Decimal)) throw wrong(value, 'decimal');
    return Decimal.of(value);
  },
  json(value) {
    const text = JSON.stringify(value);
    if (text === undefined) throw wrong(value, 'value that JSON knows');
    return text;
  },
};
CHECKS.bigint = CHECKS.int64;
CHECKS.timestamp = CHECKS.int64;
CHECKS.date = CHECKS.int32;
CHECKS.jsonText = CHECKS.text;

const ZEROS = { text: '', jsonText: '', json: '', binary: NONE, decimal: new Decimal(0n) };

/** Cells of one kind, and which of them are null. */
class Builder {
  constructor(kind) {
    this.kind = kind;
    this.cells = [];
    this.nulls = null;
  }

  push(value) {
    if (value === null || value === undefined) this.pushNull(value);
    else this.cells.push(CHECKS[this.kind.name](value));
  }

  pushNull(value) {
    const { name, nullable } = this.kind;
    if (!nullable) throw wrong(value, `${name}; declare it as optional(${name})`);
    this.nulls ??= [];
    this.nulls.push(this.cells.length);
    this.cells.push(ZEROS[name] ?? 0);
  }

  truncate(length) {
    if (this.nulls !== null) this.nulls = this.nulls.filter((row) => row < length);
    if (this.cells.length > length) this.cells.length = length;
  }

  /** Leaves the cells of these rows, in their order. */
  keep(rows) {
    this.cells = rows.map((row) => this.cells[row]);
    if (this.nulls === null) return;
    const nulls = new Set(this.nulls);
    this.nulls = [...rows.keys()].filter((at) => nulls.has(rows[at]));
  }

  finish() {
    const wire = this.kind.wire;
    return { values: { tag: wire, val: WIRES[wire](this.cells) }, null: this.#mask() };
  }

  #mask() {
    if (this.nulls === null || this.nulls.length === 0) return NONE;
    const mask = new Uint8Array(this.cells.length);
    for (const row of this.nulls) mask[row] = 1;
    return mask;
  }
}

// The frequent kinds have their check in `push`: a call saved is a tenth of what a cell costs.

class Texts extends Builder {
  push(value) {
    if (typeof value === 'string') this.cells.push(value);
    else super.push(value);
  }
}

class Floats extends Builder {
  push(value) {
    if (typeof value === 'number') this.cells.push(value);
    else super.push(value);
  }
}

class Integers extends Builder {
  push(value) {
    if (typeof value === 'number' && (value | 0) === value) this.cells.push(value);
    else super.push(value);
  }
}

const FAST = { text: Texts, jsonText: Texts, float64: Floats, int64: Integers, int32: Integers, timestamp: Integers, date: Integers };

export const builderOf = (kind) => new (FAST[kind.name] ?? Builder)(kind);

const same = (cells) => cells;

const WIRES = {
  boolean: (cells) => Uint8Array.from(cells),
  int32: same,
  date: same,
  float64: same,
  int64: longs,
  timestamp: longs,
  text: textColumn,
  json: textColumn,
  binary: bytesColumn,
  decimal: decimals,
};

/** A list<s64>. BigInts cross exactly only as a typed array; numbers do so as they are, where the engine takes them. */
export function longs(cells) {
  const exact = engine.wide || cells.some((cell) => typeof cell === 'bigint');
  return exact ? BigInt64Array.from(cells, BigInt) : cells;
}

/** A column has one scale: the largest of its cells. */
function decimals(cells) {
  const scale = cells.reduce((most, cell) => Math.max(most, cell.scale), 0);
  return { unscaled: bytesColumn(cells.map((cell) => toBytes(cell.at(scale)))), scale };
}

/** Cells of a list<u8> that say what a row does to its key. */
export function operations(cells) {
  return Uint8Array.from(cells, (name) => {
    const code = OPERATIONS.indexOf(name);
    if (code < 0) throw wrong(name, `operation: there are ${OPERATIONS.join(', ')}`);
    return code;
  });
}
