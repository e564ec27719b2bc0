// The calls that a host makes of a transformer, stateful or keyed transformer, or enricher, cut as asked.
//
// The rule: records stay in order, a call holds those of one input, and a timer fires between calls.
// Left to others: aggregators (`aggregator.js`).

import { connect } from '../src/host.js';
import { ABSENT, bytesColumn, column as textColumn } from '../src/text.js';
import { batchOf, columnOf, lookup, NOW_MS } from './batch.js';
import { State, Timers } from './memory.js';
import { placed, rowsOf } from './results.js';

const NO_STATE = new Uint8Array(0);

export class Calls {
  constructor(plugin, config, { cut, fresh, answer }) {
    Object.assign(this, { plugin, config, cut, fresh, answer });
    this.manifest = told(() => plugin.lifecycle.describe(config));
    this.state = new State();
    this.timers = new Timers();
    this.states = new Map();
    this.watermarkMs = null;
    this.nowMs = NOW_MS;
    this.keyFields = new Map();
    connect({ state: this.state });
  }

  run(rows) {
    this.#start();
    const found = [];
    let first = 0;
    while (first < rows.length) {
      const row = rows[first];
      if ('_watermark' in row || '_clock' in row) {
        found.push(...this.#advance(row));
        first += 1;
        continue;
      }
      const end = this.#end(rows, first);
      found.push(...this.#batch(rows.slice(first, end), first));
      first = end;
    }
    return found;
  }

  #start() {
    told(() => this.plugin.lifecycle.init({ config: this.config, job: 'test', step: 'test', generation: 0, annotations: [] }));
  }

  /** Where a call that begins at `first` ends. */
  #end(rows, first) {
    let end = first + 1;
    while (end < rows.length && end - first < this.cut && !('_watermark' in rows[end]) && !('_clock' in rows[end]) && rows[end]._input === rows[first]._input) end += 1;
    return end;
  }

  #batch(rows, first) {
    const name = rows[0]._input;
    const index = name === undefined ? 0 : this.manifest.inputs.findIndex((input) => input.name === name);
    if (index < 0) throw new Error(`there is no input \`${name}\``);
    const keys = this.#keysOf(rows);
    const batch = batchOf(this.manifest.inputs[index], index, rows, { keys, first, watermarkMs: this.watermarkMs });
    if (this.plugin.world === 'enricher') return this.#enrich(batch, keys, first);
    return this.#taken(keys, batch.count, first, () => (this.plugin.keyed ? this.#keyed('process', batch, keys) : this.plugin.transform.process(batch)));
  }

  /** One call: what it wrote is kept, what it emitted becomes rows. */
  #taken(keys, count, first, call) {
    if (this.fresh) this.#start();
    const processed = this.state.during(keys.names, () => told(call));
    this.timers.apply(keys.names, processed.timers);
    return rowsOf(this.manifest, processed, { count, first });
  }

  #keyed(what, argument, { names }) {
    const before = bytesColumn(names.map((name) => this.states.get(name) ?? NO_STATE));
    const { processed, states } = this.plugin.keyed[what](argument, before);
    if (states.offsets.length !== names.length + 1) throw new Error(`${states.offsets.length - 1} states came back for ${names.length} keys`);
    names.forEach((name, index) => this.states.set(name, states.data.slice(states.offsets[index], states.offsets[index + 1])));
    return processed;
  }

  #keysOf(rows) {
    const names = [];
    const firsts = [];
    const { key } = this.manifest;
    const of = rows.map((row) => {
      const name = key.length === 0 ? JSON.stringify(row._key ?? '') : JSON.stringify(key.map(({ path }) => lookup(row, path)));
      if (!names.includes(name)) {
        names.push(name);
        firsts.push(row);
        this.keyFields.set(name, row);
      }
      return names.indexOf(name);
    });
    return { names, of, set: this.#keySet(names) };
  }

  #keySet(names) {
    const rows = names.map((name) => this.keyFields.get(name));
    return { bytes: textColumn(names.map((name, index) => (this.manifest.key.length === 0 ? String(rows[index]._key ?? '') : name))), fields: this.manifest.key.map((field) => columnOf(field, rows)) };
  }

  #advance({ _watermark, _clock }) {
    const domain = _watermark === undefined ? 'processing-time' : 'event-time';
    if (_watermark !== undefined) this.watermarkMs = _watermark;
    else this.nowMs = _clock;
    const found = [];
    for (;;) {
      const timer = this.timers.next(domain, _watermark ?? _clock);
      if (timer === null) return found;
      found.push(...this.#fire(timer));
    }
  }

  #fire({ key, tag, domain, atMs }) {
    const names = [key];
    const due = { keys: this.#keySet(names), key: [0], tag: textColumn([tag]), domain: [domain], atMs: [atMs], nowMs: this.nowMs, seed: 1, watermarkMs: this.watermarkMs };
    return this.#taken({ names }, 1, 0, () => (this.plugin.keyed ? this.#keyed('fire', due, { names }) : this.plugin.onTimers.fire(due)));
  }

  #enrich(batch, keys, first) {
    if (this.fresh) this.#start();
    const requests = this.state.during(keys.names, () => told(() => this.plugin.enrich.prepare(batch)));
    const places = Array.from({ length: batch.count }, (_, index) => index);
    const found = this.#complete(batch, keys, first, places, requests);
    return found.sort((left, right) => left.source - right.source).map(({ row }) => row);
  }

  /** `places`: where the rows stood at first. Rows that ask again come in a further call of their own. */
  #complete(batch, keys, first, places, requests) {
    if (this.fresh) this.#start();
    const responses = requests.map((request) => ({ row: request.row, cookie: request.cookie, outcome: this.#outcome(request) }));
    const { processed, further } = this.state.during(keys.names, () => told(() => this.plugin.enrich.complete(batch, responses)));
    const rows = placed(this.manifest, processed, { count: batch.count, first }).map(({ source, row }) => ({ source: places[source], row }));
    if (further.length === 0) return rows;
    const again = [...new Set(further.map((request) => request.row))];
    const moved = further.map((request) => ({ ...request, row: again.indexOf(request.row) }));
    return [...rows, ...this.#complete(pick(batch, again), keys, first, again.map((row) => places[row]), moved)];
  }

  #outcome(request) {
    if (this.answer === undefined) throw new Error('this enricher asks, and the test has no `answer`');
    const asked = { ...request, body: new TextDecoder().decode(request.body), headers: Object.fromEntries(request.headers.map(({ name, value }) => [name, value])) };
    const { status, headers = {}, body = '', failed, timedOut } = this.answer(asked);
    if (timedOut) return { tag: 'timed-out' };
    if (failed !== undefined) return { tag: 'failed', val: failed };
    const named = Object.entries(headers).map(([name, value]) => ({ name, value }));
    return { tag: 'answered', val: { status, headers: named, body: new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body)) } };
  }
}

/** Some rows of a batch. */
function pick(batch, rows) {
  const strings = (column) => (column.offsets.length === 0 ? ABSENT : bytesColumn(rows.map((row) => column.data.subarray(column.offsets[row], column.offsets[row + 1]))));
  const some = (cells) => (cells.length === 0 ? cells : rows.map((row) => cells[row]));
  const field = ({ values: { tag, val }, null: nulls }) => {
    const picked = tag === 'decimal' ? { ...val, unscaled: strings(val.unscaled) } : val.offsets ? strings(val) : some(Array.from(val));
    return { values: { tag, val: picked }, null: Uint8Array.from(some(Array.from(nulls))) };
  };
  return {
    ...batch,
    count: rows.length,
    keyIndex: some(batch.keyIndex),
    shardIndex: some(batch.shardIndex),
    sequence: strings(batch.sequence),
    subSequence: some(batch.subSequence),
    partitionKey: strings(batch.partitionKey),
    eventUs: some(batch.eventUs),
    arrivalUs: some(batch.arrivalUs),
    payload: strings(batch.payload),
    fields: batch.fields.map(field),
  };
}

/** What a plugin throws that is no Error, as one. */
export function told(call) {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error) throw error;
    throw new Error(typeof error === 'string' ? error : `the call failed (${error.tag}): ${error.val}`);
  }
}
