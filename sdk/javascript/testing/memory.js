// State and timers in memory, as the host keeps them for a plugin.
//
// The rule: what a call wrote counts when the call returns, and is forgotten when it throws.
// Left to others: when calls are made (`calls.js`).

import { bytesColumn } from '../src/text.js';

const hex = (bytes) => Array.from(bytes, (byte) => (byte + 256).toString(16).slice(1)).join('');
const NONE = new Uint8Array(0);

/** Tables by key and sub-key. */
export class State {
  constructor() {
    this.entries = new Map();
    this.keys = [];
  }

  /** Runs a call that sees these keys. */
  during(keys, call) {
    this.keys = keys;
    const before = new Map(this.entries);
    try {
      return call();
    } catch (error) {
      this.entries = before;
      throw error;
    }
  }

  #at(table, key, subKey) {
    if (key >= this.keys.length) throw new Error(`key ${key} is none of the ${this.keys.length} of this call`);
    return `${table} ${this.keys[key]} ${hex(subKey)}`;
  }

  get(table, key, subKey) {
    return this.entries.get(this.#at(table, key, subKey)) ?? null;
  }

  put(table, key, subKey, value) {
    this.entries.set(this.#at(table, key, subKey), value);
  }

  delete(table, key, subKey) {
    this.entries.delete(this.#at(table, key, subKey));
  }

  getMany(table, keys) {
    const found = keys.map((key) => this.get(table, key, NONE));
    return { cells: bytesColumn(found.map((value) => value ?? NONE)), present: Uint8Array.from(found, (value) => (value === null ? 0 : 1)) };
  }

  putMany(table, keys, { cells, present }) {
    keys.forEach((key, index) => {
      if (present[index] === 0) this.delete(table, key, NONE);
      else this.put(table, key, NONE, cells.data.slice(cells.offsets[index], cells.offsets[index + 1]));
    });
  }

  scan(table, key, start, end, limit) {
    const prefix = this.#at(table, key, NONE);
    const [from, to] = [prefix + hex(start), end.length === 0 ? null : prefix + hex(end)];
    const found = [...this.entries].filter(([at]) => at.startsWith(prefix) && at >= from && (to === null || at < to)).sort(([left], [right]) => (left < right ? -1 : 1));
    const page = found.slice(0, limit);
    const subKeys = page.map(([at]) => Uint8Array.from(at.slice(prefix.length).match(/../g) ?? [], (byte) => Number.parseInt(byte, 16)));
    return { subKeys: bytesColumn(subKeys), values: bytesColumn(page.map(([, value]) => value)), more: found.length > limit };
  }
}

/** Timers: one for each key, tag and domain. */
export class Timers {
  constructor() {
    this.set = new Map();
  }

  /** Takes over what a call asked for. */
  apply(keys, { key, tag, domain, atMs, set }) {
    for (let index = 0; index < key.length; index++) {
      const name = new TextDecoder().decode(tag.data.subarray(tag.offsets[index], tag.offsets[index + 1]));
      const id = `${keys[key[index]]} ${domain[index]} ${name}`;
      if (set[index] === 0) this.set.delete(id);
      else this.set.set(id, { key: keys[key[index]], tag: name, domain: domain[index], atMs: Number(atMs[index]) });
    }
  }

  /** Takes out the first that is due. */
  next(domain, nowMs) {
    const due = [...this.set].filter(([, timer]) => timer.domain === domain && timer.atMs <= nowMs).sort(([, left], [, right]) => left.atMs - right.atMs);
    if (due.length === 0) return null;
    this.set.delete(due[0][0]);
    return due[0][1];
  }
}
