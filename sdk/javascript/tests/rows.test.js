// Reading and writing cells: every kind, at its edges.
//
// The rule: what does not fit is refused with words. Left to others: worlds (`worlds.test.js`).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bigint, binary, boolean, date, Decimal, decimal, eventTime, float64, int32, int64, json, jsonText, optional, partitionKey, Reject, text, timestamp, transformer } from '@pelton/sdk';
import { describe, run } from '@pelton/sdk/testing';
import { fromBytes, toBytes } from '../src/decimal.js';
import { column, reader } from '../src/text.js';

const KINDS = { flag: boolean, small: int32, big: int64, exact: bigint, ratio: float64, name: text, blob: binary, price: decimal, at: timestamp, day: date, extra: json, raw: jsonText };
const all = Object.fromEntries(Object.entries(KINDS).map(([name, kind]) => [name, optional(kind)]));
const copy = transformer({ name: 'copy', input: all, output: all, process: (row, out) => out.emit(row, row) });

test('every kind goes through as it came', () => {
  const row = { flag: true, small: -2147483648, big: Number.MAX_SAFE_INTEGER, exact: -5, ratio: -0.5, name: 'ä€😀\u0000', blob: [0, 255, 128], price: '-12.5', at: 1, day: -719162, extra: { a: [1, null] }, raw: { b: 1 } };
  const nulls = Object.fromEntries(Object.keys(KINDS).map((name) => [name, null]));
  assert.deepEqual(run(copy, { rows: [row, {}, { ...row, name: 'ascii' }] }), [row, nulls, { ...row, name: 'ascii' }]);
});

test('text of every length and width survives a column', () => {
  for (const cells of [[''], ['a', '', 'bc'], ['ä', 'a', '😀😀', ''], Array.from({ length: 300 }, (_, index) => 'xyz€'.repeat(index))]) {
    const { data, offsets } = column(cells);
    const read = reader({ data, offsets });
    assert.deepEqual(cells.map((_, index) => read(index)), cells);
    assert.equal(Buffer.from(data).toString(), cells.join(''));
  }
});

test('half a character is replaced, because it has no UTF-8', () => {
  assert.equal(Buffer.from(column(['a\ud800b']).data).toString(), 'a\ufffdb');
});

test('decimals keep every digit', () => {
  for (const value of [0n, 1n, -1n, 127n, 128n, -128n, -129n, 255n, 1n << 64n, -(1n << 95n)]) assert.equal(fromBytes(toBytes(value)), value);
  assert.deepEqual(Array.from(toBytes(128n)), [0, 128]);
  assert.deepEqual(Array.from(toBytes(-128n)), [128]);
  assert.equal(Decimal.of('1e3').toString(), '1000');
  assert.equal(Decimal.of('-0.050').plus('0.05').compare(0), 0);
  assert.equal(Decimal.of('1.10').times('2').toString(), '2.20');
  assert.throws(() => Decimal.of('12,5'), /12,5 is no decimal/);
  assert.throws(() => Decimal.of('1.25').at(1), /more than 1 digits/);
});

test('a number that JavaScript cannot hold is refused, and no other record', () => {
  const plugin = transformer({ name: 'p', input: { big: int64 }, output: { big: int64 }, process: (row, out) => out.emit(row, { big: row.big }) });
  const rows = run(plugin, { rows: [{ big: 1 }, { big: 2 ** 53 }, { big: 3 }] });
  assert.deepEqual(rows[0], { big: 1 });
  assert.equal(rows[1]._reject.code, 'integer_too_large');
  assert.match(rows[1]._reject.message, /field `big` is about 9007199254740992/);
  assert.deepEqual(rows[2], { big: 3 });
});

const emits = (kind, value) => run(transformer({ name: 'p', input: {}, output: { f: kind }, process: (row, out) => out.emit(row, { f: value }) }), { rows: [{}] });

test('what does not fit a kind is named with its field', () => {
  const cases = [[int32, 2 ** 31, '2147483648 is no whole number'], [int32, 1.5, '1.5 is no'], [int64, 2 ** 53, 'give a BigInt beyond'], [int64, 2n ** 63n, 'is no whole number'], [text, 1, '1 is no string'], [binary, 'x', '"x" is no Uint8Array'], [boolean, 0, '0 is no boolean'], [float64, '1', 'is no number'], [float64, null, 'declare it as optional(float64)'], [decimal, 'x', 'x is no decimal'], [json, undefined, 'declare it as optional(json)']];
  for (const [kind, value, words] of cases) assert.throws(() => emits(kind, value), (error) => error.message.includes(words) && error.message.includes('field `f` of output `out`'), words);
});

test('large numbers are emitted exactly', () => {
  assert.deepEqual(emits(int64, 9223372036854775807n), [{ f: 9223372036854775807n }]);
  assert.deepEqual(emits(timestamp, 253402300799999999n), [{ f: 253402300799999999n }]);
});

test('a row that is half emitted leaves nothing behind', () => {
  const plugin = transformer({
    name: 'p',
    input: { n: int64 },
    output: { a: int64, b: text },
    process(row, out) {
      if (row.n === 2) throw new Reject('two', 'is refused');
      try {
        out.emit(row, { a: row.n, b: 5 });
      } catch {
        out.emit(row, { a: row.n, b: 'mended' });
      }
      if (row.n === 3) throw new Reject('three', 'is refused after it emitted');
    },
  });
  assert.deepEqual(run(plugin, { rows: [{ n: 1 }, { n: 2 }, { n: 3 }] }), [{ a: 1, b: 'mended' }, { _reject: { index: 1, code: 'two', message: 'is refused' } }, { _reject: { index: 2, code: 'three', message: 'is refused after it emitted' } }]);
});

test('identities are read and set', () => {
  const plugin = transformer({ name: 'p', input: { at: eventTime, key: partitionKey }, output: { at: eventTime, key: partitionKey, n: int64 }, process: (row, out) => out.emit(row, { at: row.at + 1, key: `${row.key}!`, n: 1 }) });
  assert.deepEqual(run(plugin, { rows: [{ _event_time: 5, _partition_key: 'ä' }] }), [{ _event_time: 6, _partition_key: 'ä!', n: 1 }]);
  assert.deepEqual(describe(plugin).outputs[0].fields, [{ path: 'n', kind: 'int64', optional: false, doc: '' }]);
});

test('all of a call at once, by rows and by columns', () => {
  const plugin = transformer({
    name: 'p',
    input: { n: int64, t: optional(text) },
    output: { n: int64, t: optional(text) },
    batch(rows, out) {
      const { n, t } = rows.columns;
      for (let index = 0; index < rows.count; index++) if (n.values[index] > 1) out.emit(rows.at(index), { n: n.get(index), t: t.get(index) });
      for (const row of rows) if (row.n === 1) row.reject('one', 'is refused');
    },
  });
  assert.deepEqual(run(plugin, { rows: [{ n: 1 }, { n: 2, t: 'x' }, { n: 3 }] }), [{ _reject: { index: 0, code: 'one', message: 'is refused' } }, { n: 2, t: 'x' }, { n: 3, t: null }]);
});

test('a mistake in a declaration is said when it is read', () => {
  assert.throws(() => describe(transformer({ name: 'p', input: { a: 'text' }, output: {}, process() {} })), /input `in` of plugin `p`: `a` is "text", which is no kind/);
  assert.throws(() => describe(transformer({ name: 'p', input: { index: text }, output: {}, process() {} })), /cannot be called `index`/);
  assert.throws(() => transformer({ name: 'p', input: {}, output: {} }), /no `process`/);
  assert.throws(() => transformer({ input: {}, output: {}, process() {} }), /has no `name`/);
});

test('a plugin that remembers is found', () => {
  let count = 0;
  const plugin = transformer({ name: 'p', input: {}, output: { n: int64 }, start: () => (count = 0), process: (row, out) => out.emit(row, { n: count++ }) });
  assert.throws(() => run(plugin, { rows: [{}, {}] }), /depend on how records are cut/);
});

test('rows are emitted a column at a time', () => {
  const batch = (rows, out) => out.emitColumns(rows.columns.n.values.map((_, index) => index), { n: rows.columns.n.values, t: Array.from({ length: rows.count }, () => 'x') });
  const columns = { name: 'p', input: { n: int64 }, output: { n: int64, t: text } };
  assert.deepEqual(run(transformer({ ...columns, batch }), { rows: [{ n: 1 }, { n: 2 }] }), [{ n: 1, t: 'x' }, { n: 2, t: 'x' }]);
  const short = (_, out) => out.emitColumns([0], { n: [1], t: [] });
  assert.throws(() => run(transformer({ ...columns, batch: short }), { rows: [{ n: 1 }] }), /field `t` of output `out`: 0 values for 1 rows/);
});
