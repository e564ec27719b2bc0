// The calls that a host makes of an aggregator: fold, combine, finish, one window a `_key`.
//
// The rule: folding in one call, record by record, and in two halves that are combined must give the same.
// Left to others: comparing (`index.js`).

import { connect } from '../src/host.js';
import { ABSENT, bytesColumn } from '../src/text.js';
import { batchOf, columnOf, lookup, NOW_MS } from './batch.js';
import { told } from './calls.js';
import { rowsOf } from './results.js';

const HOUR_MS = 3_600_000;

export class Aggregations {
  constructor(plugin, config, rows) {
    Object.assign(this, { plugin, config, rows });
    connect({});
    this.manifest = told(() => plugin.lifecycle.describe(config));
    this.names = [];
    this.firsts = [];
    this.group = rows.map((row) => this.#groupOf(row));
    this.rejects = [];
  }

  #groupOf(row) {
    const { key } = this.manifest;
    const name = key.length === 0 ? (row._key ?? null) : key.map(({ path }) => lookup(row, path)).join(' ');
    if (!this.names.includes(name)) {
      this.names.push(name);
      this.firsts.push(row);
    }
    return this.names.indexOf(name);
  }

  #start() {
    told(() => this.plugin.lifecycle.init({ config: this.config, job: 'test', step: 'test', generation: 0, annotations: [] }));
  }

  #windows(withKeys) {
    const none = { keys: { bytes: ABSENT, fields: [] }, key: [] };
    const { key } = this.manifest;
    const keyed = { keys: { bytes: ABSENT, fields: key.map((field) => columnOf(field, this.firsts)) }, key: this.names.map((_, index) => index) };
    return { ...(withKeys ? keyed : none), startMs: this.names.map(() => 0), endMs: this.names.map(() => HOUR_MS) };
  }

  #fold(from, to, cut) {
    let accumulators = bytesColumn(this.names.map(() => new Uint8Array(0)));
    for (let first = from; first < to; first += cut) {
      const last = Math.min(first + cut, to);
      this.#start();
      const records = batchOf(this.manifest.inputs[0], 0, this.rows.slice(first, last), { first });
      const row = Array.from({ length: last - first }, (_, index) => index);
      const folded = told(() => this.plugin.aggregate.fold({ records, groups: this.#windows(false), row, group: this.group.slice(first, last), accumulators }));
      accumulators = folded.accumulators;
      if (accumulators.offsets.length !== this.names.length + 1) throw new Error(`${accumulators.offsets.length - 1} accumulators came back for ${this.names.length} windows`);
      this.rejects.push(...folded.errors.map(({ index, code, message }) => ({ _reject: { index: index + first, code, message } })));
    }
    return accumulators;
  }

  #finish(accumulators) {
    this.#start();
    const count = this.names.length;
    const closing = { groups: this.#windows(true), firing: this.names.map(() => 'on-time'), firingNumber: this.names.map(() => 0), accumulators, nowMs: NOW_MS, seed: 1, watermarkMs: HOUR_MS };
    const processed = told(() => this.plugin.aggregate.finish(closing));
    return [...rowsOf(this.manifest, processed, { count, keys: this.names }), ...this.rejects.splice(0)];
  }

  folded(cut) {
    return this.#finish(this.#fold(0, this.rows.length, cut));
  }

  combined() {
    const middle = this.rows.length >> 1;
    const halves = [this.#fold(0, middle, Infinity), this.#fold(middle, this.rows.length, Infinity)];
    const part = ({ data, offsets }, index) => data.subarray(offsets[index], offsets[index + 1]);
    const parts = bytesColumn(this.names.flatMap((_, index) => halves.map((half) => part(half, index))));
    const offsets = Array.from({ length: this.names.length + 1 }, (_, index) => 2 * index);
    this.#start();
    return this.#finish(told(() => this.plugin.aggregate.combine(parts, offsets)));
  }
}
