// Where the results of one call are collected: rows for each output, records that are refused, timers.
//
// The rule: a row is taken whole or not at all; what was not emitted and not rejected is dropped.
// Left to others: cells (`builders.js`).

import { Builder, longs, operations } from './builders.js';
import { binary, int64, members, text } from './kinds.js';
import { ABSENT, bytesColumn, column as textColumn } from './text.js';

const NONE = new Uint8Array(0);
const RESERVED = ['emit', 'reject', 'mark', 'back', 'finish', 'timers', 'outputs', 'errors'];

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
    this.fields = fields.map((field) => [field.name, new Builder(field.kind)]);
    this.identities = identities.map(({ name: member, identity }) => [member, new Builder(SET[identity.name]), identity]);
  }

  /** A row that comes from `row`. */
  emit(row, values) {
    this.push(row.index, values);
  }

  push(source, values) {
    const { fields, identities } = this;
    let name;
    try {
      for (let index = 0; index < fields.length; index++) fields[index][1].push(values[(name = fields[index][0])]);
      for (let index = 0; index < identities.length; index++) identities[index][1].push(values[(name = identities[index][0])]);
    } catch (error) {
      this.truncate(this.source.length);
      error.message = `field \`${name}\` of output \`${this.name}\`: ${error.message}`;
      throw error;
    }
    this.source.push(source);
  }

  truncate(length) {
    this.source.length = length;
    for (const [, builder] of this.fields) builder.truncate(length);
    for (const [, builder] of this.identities) builder.truncate(length);
  }

  finish(output) {
    const emitted = { output, source: this.source, partitionKey: ABSENT, eventUs: [], operation: NONE, payload: ABSENT, fields: this.fields.map(([, builder]) => builder.finish()) };
    for (const [, { cells }, { name }] of this.identities) {
      if (name === 'eventTime') emitted.eventUs = longs(cells);
      else if (name === 'operation') emitted.operation = operations(cells);
      else if (name === 'partitionKey') emitted.partitionKey = textColumn(cells);
      else emitted.payload = bytesColumn(cells);
    }
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
    this.outputs[0].push(row.index, values);
  }

  reject(row, code, message) {
    this.errors.push({ index: row.index, code: String(code), message: String(message) });
  }

  /** How far it has come; `back` forgets what came after. */
  mark() {
    return this.outputs.length === 1 ? this.outputs[0].source.length : this.outputs.map((output) => output.source.length);
  }

  back(mark) {
    if (typeof mark === 'number') this.outputs[0].truncate(mark);
    else mark.forEach((length, index) => this.outputs[index].truncate(length));
  }

  finish() {
    const emitted = [];
    this.outputs.forEach((output, index) => {
      if (output.source.length > 0) emitted.push(output.finish(index));
    });
    return { emitted, errors: once(this.errors), timers: this.timers === null ? noTimers() : this.timers.finish() };
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
