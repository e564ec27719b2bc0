// Where the results of one call are collected: rows for each output, records that are refused, timers.
//
// The rule: a row is taken whole or not at all; what was not emitted and not rejected is dropped; a record that is refused gives no rows, whenever
// they were emitted.
// Left to others: cells (`builders.js`).

import { builderOf, longs, operations } from './builders.js';
import { binary, int64, members, text } from './kinds.js';
import { ABSENT, bytesColumn, column as textColumn } from './text.js';

const NONE = new Uint8Array(0);
const RESERVED = ['emit', 'emitColumns', 'reject', 'finish', 'timers', 'outputs', 'errors'];

/** Identity columns that an output may set: the kind that checks them. */
const SET = { partitionKey: text, eventTime: int64, payload: binary, operation: text };

/** Checks the declaration of the outputs once; `fresh()` then makes what collects the results of a call. */
export function outputsOf(declared, what) {
  const plans = Object.entries(declared).map(([name, output]) => {
    if (RESERVED.includes(name)) throw new TypeError(`${what}: an output cannot be called \`${name}\`, take another name`);
    const { fields, identities } = members(output, `output \`${name}\` of ${what}`);
    for (const { identity } of identities) if (!identity.settable) throw new TypeError(`output \`${name}\` of ${what}: only the host knows the ${identity.name}`);
    return { name, fields, identities };
  });
  return { plans, fresh: () => new Out(plans) };
}

/** One output: its rows, and the records that they come from. */
class Output {
  constructor({ name, fields, identities }) {
    this.name = name;
    this.source = [];
    this.identities = identities;
    this.fields = fields.length;
    this.names = [...fields, ...identities].map((member) => member.name);
    this.builders = [...fields.map(({ kind }) => builderOf(kind)), ...identities.map(({ identity }) => builderOf(SET[identity.name]))];
  }

  /** A row that comes from `row`. */
  emit(row, values) {
    const { names, builders } = this;
    try {
      for (let index = 0; index < names.length; index++) builders[index].push(values[names[index]]);
    } catch (error) {
      const wrong = builders.findIndex((builder) => builder.cells.length === this.source.length);
      this.truncate(this.source.length);
      error.message = `field \`${names[wrong]}\` of output \`${this.name}\`: ${error.message}`;
      throw error;
    }
    this.source.push(row.index);
  }

  /** Rows that come from the records at `sources`, a list a member: faster than one by one. */
  emitColumns(sources, columns) {
    const length = this.source.length;
    this.names.forEach((name, index) => {
      const values = columns[name] ?? [];
      const builder = this.builders[index];
      try {
        if (values.length !== sources.length) throw new TypeError(`${values.length} values for ${sources.length} rows`);
        for (let row = 0; row < values.length; row++) builder.push(values[row]);
      } catch (error) {
        this.truncate(length);
        error.message = `field \`${name}\` of output \`${this.name}\`: ${error.message}`;
        throw error;
      }
    });
    for (let row = 0; row < sources.length; row++) this.source.push(sources[row]);
  }

  truncate(length) {
    this.source.length = length;
    for (const builder of this.builders) builder.truncate(length);
  }

  /** Takes back the rows of records that were refused. */
  takeBack(refused) {
    const kept = [...this.source.keys()].filter((row) => !refused.has(this.source[row]));
    if (kept.length === this.source.length) return;
    this.source = kept.map((row) => this.source[row]);
    for (const builder of this.builders) builder.keep(kept);
  }

  finish(output) {
    const columns = this.builders.slice(0, this.fields).map((builder) => builder.finish());
    const emitted = { output, source: this.source, partitionKey: ABSENT, eventUs: [], operation: NONE, payload: ABSENT, fields: columns };
    this.identities.forEach(({ identity }, index) => {
      const { cells } = this.builders[this.fields + index];
      if (identity.name === 'eventTime') emitted.eventUs = longs(cells);
      else if (identity.name === 'operation') emitted.operation = operations(cells);
      else if (identity.name === 'partitionKey') emitted.partitionKey = textColumn(cells);
      else emitted.payload = bytesColumn(cells);
    });
    return emitted;
  }
}

class Out {
  constructor(plans) {
    this.outputs = plans.map((plan) => new Output(plan));
    for (const output of this.outputs) this[output.name] = output;
    this.errors = [];
    this.timers = null;
  }

  /** A row of the first output that comes from `row`. */
  emit(row, values) {
    this.outputs[0].emit(row, values);
  }

  emitColumns(sources, columns) {
    this.outputs[0].emitColumns(sources, columns);
  }

  reject(row, code, message) {
    this.errors.push({ index: row.index, code: String(code), message: String(message) });
  }

  finish() {
    const emitted = [];
    const errors = once(this.errors);
    const refused = new Set(errors.map(({ index }) => index));
    this.outputs.forEach((output, index) => {
      if (refused.size > 0) output.takeBack(refused);
      if (output.source.length > 0) emitted.push(output.finish(index));
    });
    return { emitted, errors, timers: this.timers === null ? noTimers() : this.timers.finish() };
  }
}

/** A record is refused once, however often it was said. */
export function once(errors) {
  if (errors.length < 2) return errors;
  const seen = new Set();
  return errors.filter(({ index }) => !seen.has(index) && seen.add(index));
}

const noTimers = () => ({ key: [], tag: ABSENT, domain: [], atMs: [], set: NONE });

/** Timers that are set and cancelled in a call. */
export class Timers {
  constructor() {
    this.key = [];
    this.tag = [];
    this.domain = [];
    this.atMs = [];
    this.set = [];
  }

  add(key, tag, domain, atMs, set) {
    if (!Number.isInteger(atMs)) throw new TypeError(`timer \`${tag}\`: ${atMs} is no time in whole milliseconds`);
    this.key.push(key);
    this.tag.push(String(tag));
    this.domain.push(domain);
    this.atMs.push(atMs);
    this.set.push(set);
  }

  finish() {
    return { key: this.key, tag: textColumn(this.tag), domain: this.domain, atMs: longs(this.atMs), set: Uint8Array.from(this.set) };
  }
}
