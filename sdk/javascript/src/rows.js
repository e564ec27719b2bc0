// A record as an author sees it: an object whose members read columns when they are asked for.
//
// The rule: one class an input, with a getter a member on its prototype, and one object a batch that moves from row to row; a row that
// nobody looks at costs nothing, and a member that nobody reads is not decoded.
// Left to others: reading a cell (`readers.js`), what is done with a row (`worlds/`).

import { Reject } from './failures.js';
import { members } from './kinds.js';
import { identityOf, memberOf } from './readers.js';

const OWN = ['index', 'batch', 'input', 'reject', 'toObject'];

/** The class of an input's rows, and how to open a batch of them. */
export function rowClass(declared, what) {
  const { fields, identities } = members(declared, what);
  const names = [...fields, ...identities].map((member) => member.name);
  for (const name of names) if (OWN.includes(name)) throw new TypeError(`${what}: a member cannot be called \`${name}\`: write ${name}_: kind.from('${name}')`);

  const fromFields = fields.map(({ kind, path }) => memberOf(kind, path));
  const fromBatch = identities.map(({ identity }) => identityOf(identity));

  class Row {
    constructor(batch, call, input) {
      for (let index = 0; index < fromFields.length; index++) fromFields[index].open(batch.fields[index]);
      for (const member of fromBatch) member.open(batch);
      this.index = 0;
      this.batch = call;
      this.input = input;
      this._out = null;
    }

    /** This record cannot be processed. What is emitted for it, before or after, does not count. */
    reject(code, message) {
      this._out.reject(this, code, message);
    }

    /** The members as a plain object that stays as it is. */
    toObject() {
      const object = {};
      for (const name of names) object[name] = this[name];
      return object;
    }
  }
  [...fromFields, ...fromBatch].forEach(({ get }, index) => Object.defineProperty(Row.prototype, names[index], { enumerable: true, get }));
  return { Row, fields, identities };
}

/** The rows of one batch, in order. The object is the same each time: take `toObject()` of what is kept. */
export class Rows {
  constructor(row, count, columns) {
    this._row = row;
    this.count = count;
    this.columns = columns;
  }

  get batch() {
    return this._row.batch;
  }

  /** The row at a place; the same object again. */
  at(index) {
    this._row.index = index;
    return this._row;
  }

  *[Symbol.iterator]() {
    const row = this._row;
    for (let index = 0; index < this.count; index++) {
      row.index = index;
      yield row;
    }
  }
}

/** What holds for all records of a call. */
export function callOf(batch) {
  return {
    count: batch.count,
    nowMs: Number(batch.nowMs),
    // null while there is no watermark
    watermarkMs: batch.watermarkMs === undefined || batch.watermarkMs === null ? null : Number(batch.watermarkMs),
    seed: unsigned(batch.seed),
  };
}

// QuickJS gives the upper half of u64 as negative numbers.
function unsigned(seed) {
  const number = Number(seed);
  return number < 0 ? number + 2 ** 64 : number;
}

/** The columns of a batch as they crossed, for plugins that want to be fast. */
export function columnsOf(batch, fields) {
  const columns = {};
  fields.forEach(({ name, kind, path }, index) => {
    Object.defineProperty(columns, name, { enumerable: true, get: () => columnOf(batch.fields[index], kind, path) });
  });
  return columns;
}

/** `values`: an array, or `data` and `offsets` of byte strings; `nulls`: 1 where there is none, or empty; `get(row)`: one value. */
function columnOf(column, kind, path) {
  const member = memberOf(kind, path);
  member.open(column);
  const at = { index: 0 };
  const get = (row) => {
    at.index = row;
    return member.get.call(at);
  };
  return { values: column.values.val, nulls: column.null, get };
}

/** Runs `each` for a row; whoever throws a Reject refuses that row alone. */
export function guarded(out, row, each) {
  try {
    each();
  } catch (error) {
    if (!(error instanceof Reject)) throw error;
    out.reject(row, error.code, error.message);
  }
}
