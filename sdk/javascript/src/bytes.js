// Numbers and byte strings one after another in a buffer, little endian: what accumulators and state are made of.
//
// The rule: what is read past the end, or left over, is an error with words.
// Left to others: what stands where (`shape.js`).

import { decode, encode } from './text.js';

const HIGH = 2 ** 32;

export class Writer {
  constructor(capacity = 64) {
    this.bytes = new Uint8Array(capacity);
    this.view = new DataView(this.bytes.buffer);
    this.end = 0;
  }

  // Makes another buffer where this one is full, so take the place first and name `bytes` or `view` after it.
  #room(length) {
    const start = this.end;
    this.end += length;
    if (this.end > this.bytes.length) {
      const larger = new Uint8Array(Math.max(this.end, 2 * this.bytes.length));
      larger.set(this.bytes);
      this.bytes = larger;
      this.view = new DataView(larger.buffer);
    }
    return start;
  }

  byte(value) {
    const at = this.#room(1);
    this.bytes[at] = value;
  }

  int32(value) {
    const at = this.#room(4);
    this.view.setInt32(at, value, true);
  }

  uint32(value) {
    const at = this.#room(4);
    this.view.setUint32(at, value, true);
  }

  float64(value) {
    const at = this.#room(8);
    this.view.setFloat64(at, value, true);
  }

  int64(value) {
    const at = this.#room(8);
    if (typeof value === 'bigint') {
      this.view.setBigInt64(at, value, true);
      return;
    }
    // Two halves: a BigInt for each number would cost more than all the rest.
    this.view.setUint32(at, value % HIGH, true);
    this.view.setInt32(at + 4, Math.floor(value / HIGH), true);
  }

  chunk(bytes) {
    this.uint32(bytes.length);
    const at = this.#room(bytes.length);
    this.bytes.set(bytes, at);
  }

  text(value) {
    this.chunk(encode(value));
  }

  finish() {
    return this.bytes.slice(0, this.end);
  }
}

export class Reader {
  constructor(bytes, what) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.at = 0;
    this.what = what;
  }

  #take(length) {
    const start = this.at;
    this.at += length;
    if (this.at > this.bytes.length) throw new Error(`${this.what} is too short: it has ${this.bytes.length} bytes`);
    return start;
  }

  byte() {
    return this.bytes[this.#take(1)];
  }

  int32() {
    return this.view.getInt32(this.#take(4), true);
  }

  uint32() {
    return this.view.getUint32(this.#take(4), true);
  }

  float64() {
    return this.view.getFloat64(this.#take(8), true);
  }

  int64() {
    const at = this.#take(8);
    const value = this.view.getInt32(at + 4, true) * HIGH + this.view.getUint32(at, true);
    if (!Number.isSafeInteger(value)) throw new Error(`${this.what} holds the number ${this.view.getBigInt64(at, true)}, too large for int64: declare it as bigint`);
    return value;
  }

  bigint() {
    return this.view.getBigInt64(this.#take(8), true);
  }

  chunk() {
    const length = this.uint32();
    const start = this.#take(length);
    return this.bytes.slice(start, start + length);
  }

  text() {
    return decode(this.chunk());
  }

  ended() {
    if (this.at < this.bytes.length) throw new Error(`${this.what} has ${this.bytes.length - this.at} bytes too many`);
  }
}
