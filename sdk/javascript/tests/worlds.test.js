// The conformance plugins and others, run as the host runs them.
//
// The rule: what the README of the suite says of an `op` holds here too. Left to others: the components (`pelton test`).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aggregator, bigint, boolean, float64, int32, int64, json, keyed, list, older, optional, text } from '@pelton/sdk';
import { describe, run } from '@pelton/sdk/testing';
import aggregated from '../conformance/aggregator.js';
import enriched from '../conformance/enricher.js';
import counted from '../conformance/keyed-transformer.js';
import kept from '../conformance/stateful-transformer.js';
import transformed from '../conformance/transformer.js';
import { shapeOf } from '../src/shape.js';
import { bytesColumn } from '../src/text.js';

test('the transformer refuses what it must', () => {
  assert.throws(() => run(transformed, { config: { factor: -1 } }), /factor is negative/);
  assert.throws(() => run(transformed, { config: { prefix: 1 } }), /config.prefix: 1 is no string/);
  assert.throws(() => run(transformed, { config: { sufix: 'x' } }), /there is no `sufix`; there is: factor, prefix/);
  assert.throws(() => run(transformed, { rows: [{ op: 'retry', name: 'again' }] }), /the call failed \(retry\): again/);
  assert.throws(() => run(transformed, { rows: [{ op: 'trap' }] }), /asks for a trap/);
  assert.deepEqual(run(transformed, { rows: [{ op: 'nope' }, { op: 'drop' }] }), [{ _reject: { index: 0, code: 'unknown_op', message: 'nope' } }]);
});

test('records are folded, combined and finished', () => {
  const rows = [{ _key: 'a', op: 'add', amount: 1.5, name: 'x' }, { _key: 'b', op: 'add' }, { _key: 'a', op: 'reject', name: 'y' }, { _key: 'a', op: 'add', amount: 2, name: 'z' }];
  const found = run(aggregated, { rows });
  assert.deepEqual(found, [{ _key: 'a', records: 2, total: 3.5, least: 1.5, names: 'x,z' }, { _key: 'b', records: 1, total: 0, least: null, names: '' }, { _reject: { index: 2, code: 'refused', message: 'y is refused' } }]);
  assert.equal(run(aggregated, { rows, config: { empty: true } }).length, 2);
});

test('an aggregator that forgets to combine is found', () => {
  const sum = { name: 'p', input: { n: int64 }, output: { n: int64 }, accumulator: { n: int64 }, fold: (acc, row) => (acc.n += row.n), finish: (acc) => acc };
  assert.throws(() => run(aggregator({ ...sum, combine() {} }), { rows: [{ n: 1 }, { n: 2 }] }), /two halves, combined/);
});

test('state is put, got, scanned and fired by timers', () => {
  const rows = [
    { key: 'a', op: 'put', text: 'x' },
    { key: 'a', op: 'get' },
    { key: 'b', op: 'get', _input: 'right' },
    { key: 'b', op: 'push', name: 'n2', text: '2' },
    { key: 'b', op: 'push', name: 'n1', text: '1' },
    { key: 'b', op: 'push', name: 'n3', text: '3' },
    { key: 'b', op: 'scan', name: 'n2', value: 1 },
    { key: 'b', op: 'remove', name: 'n1' },
    { key: 'b', op: 'pull', name: 'n1' },
    { key: 'a', op: 'timer', name: 'again', value: 1000 },
    { key: 'b', op: 'timer', name: 'gone', value: 1000 },
    { key: 'b', op: 'cancel', name: 'gone' },
    { key: 'b', op: 'clock', name: 'late', value: 5 },
    { _watermark: 2000 },
    { _clock: 5 },
    { key: 'a', op: 'delete' },
    { _watermark: 9000 },
    { key: 'a', op: 'reject', name: 'r', text: 'stays' },
    { key: 'a', op: 'get' },
  ];
  const row = (key, what, text = null, number = null) => ({ key, what, text, number });
  assert.deepEqual(run(kept, { rows }), [
    row('a', 'get', 'x'),
    row('b', 'get'),
    row('b', 'n2', '2'),
    row('b', 'n3', '3'),
    row('b', 'pull'),
    row('a', 'fired', 'again', 1000),
    row('a', 'fired', 'again', 2000),
    row('b', 'fired', 'late', 5),
    row('a', 'fired', 'again', 3000),
    { _reject: { index: 17, code: 'refused', message: 'r is refused' } },
    row('a', 'get', 'stays'),
  ]);
});

test('a put before a throw is gone', () => {
  assert.throws(() => run(kept, { rows: [{ key: 'a', op: 'trap', text: 'x' }] }), /asks for a trap/);
});

test('values of version 1 are migrated to version 2', () => {
  kept.lifecycle.init({ config: '{"version":2}', job: 'j', step: 's', generation: 1, annotations: [] });
  const column = (...texts) => bytesColumn(texts.map((text) => new TextEncoder().encode(text)));
  const keys = { bytes: column('k'), fields: [{ values: { tag: 'text', val: column('k') }, null: new Uint8Array(0) }] };
  const { values: { cells, present }, errors } = kept.migrateState.migrate(0, 1, keys, [0, 0], column('', ''), column('old', 'bad'));
  assert.deepEqual([...cells.data], [2, ...new TextEncoder().encode('old')]);
  assert.deepEqual([...present], [1, 0]);
  assert.deepEqual(errors, [{ index: 1, code: 'not_migrated', message: 'bad is refused' }]);
  assert.deepEqual(describe(kept, { version: 2 }).tables[0], { name: 'values', prefetch: true, schema: '', schemaVersion: 2, migratesFrom: [1], ttlMs: null });
  assert.deepEqual(run(kept, { config: { version: 2 }, rows: [{ key: 'a', op: 'put', text: 'x' }, { key: 'a', op: 'get' }] })[0].text, 'x');
});

test('a migration is told the key of its value, an aggregator has none', () => {
  const shape = { version: 2, fields: { user: text }, migrate: { 1: (bytes, { key }) => ({ user: key?.user ?? 'nobody' }) } };
  const plugin = keyed({ name: 'p', key: { user: text }, input: {}, output: {}, state: shape, process() {} });
  const column = (...texts) => bytesColumn(texts.map((one) => new TextEncoder().encode(one)));
  const keys = { bytes: column('k'), fields: [{ values: { tag: 'text', val: column('ann') }, null: new Uint8Array(0) }] };
  plugin.lifecycle.init({ config: '{}', job: 'j', step: 's', generation: 1, annotations: [] });
  const { values } = plugin.migrateState.migrate(0, 1, keys, [0], column(''), column('x'));
  assert.deepEqual(shapeOf(shape, 'it').decode(values.cells.data), { user: 'ann' });
});

test('there is no watermark before the first', () => {
  const rows = [{ key: 'a', op: 'watermark' }, { _watermark: 7 }, { key: 'a', op: 'watermark' }];
  assert.deepEqual(run(kept, { rows }).map(({ number }) => number), [null, 7]);
});

test('a state goes in and out by key', () => {
  const rows = [{ key: 'a', op: 'add', value: 3 }, { key: 'b', op: 'add' }, { key: 'a', op: 'add', value: 4 }, { key: 'a', op: 'timer', value: 10 }, { key: 'c', op: 'reject' }, { _watermark: 11 }, { key: 'a', op: 'clear' }, { key: 'a', op: 'add', value: 1 }];
  assert.deepEqual(
    run(counted, { rows }).map((row) => row.count ?? row._reject.code),
    [1, 1, 2, 'refused', 2, 0, 1],
  );
});

test('a key that was only looked at keeps no state', () => {
  const plugin = keyed({ name: 'p', key: { key: text }, input: {}, output: { isNew: int64 }, state: { n: int64 }, process: (row, key, out) => void key.state.n || out.emit(row, { isNew: key.isNew ? 1 : 0 }) });
  assert.deepEqual(run(plugin, { rows: [{ key: 'a' }, { key: 'a' }] }), [{ isNew: 1 }, { isNew: 1 }]);
});

test('answers become rows, round by round', () => {
  const asked = [];
  const answer = (request) => {
    asked.push(`${request.method} ${request.path} ${request.body} ${request.headers['content-type'] ?? ''}`);
    if (request.path.endsWith('slow')) return { timedOut: true };
    if (request.path.endsWith('down')) return { failed: 'no route' };
    return { status: 200, body: 'B' };
  };
  const rows = [{ op: 'ask', name: 'a b' }, { op: 'twice', name: 'x' }, { op: 'pass', name: 'p' }, { op: 'post', name: 'q', value: 1 }, { op: 'ask', name: 'slow' }, { op: 'ask', name: 'down' }, { op: 'reject', name: 'r' }];
  const row = (name, status, text, rounds) => ({ name, status, text, rounds });
  assert.deepEqual(run(enriched, { rows, answer }), [row('a b', 200, 'B', 1), row('x', 200, 'B', 2), row('p', null, null, 0), row('q', 200, 'B', 1), row('slow', null, 'timed out', 1), row('down', null, 'failed: no route', 1), { _reject: { index: 6, code: 'refused', message: 'r is refused' } }]);
  assert.deepEqual(asked.slice(0, 5), ['GET /scores/a%20b  ', 'GET /scores/x  ', 'POST /scores {"name":"q","value":1} application/json', 'GET /scores/slow  ', 'GET /scores/down  ']);
});

test('a shape gives back what it was given, and refuses other versions', () => {
  const shape = shapeOf({ version: 3, fields: { n: int64, f: optional(float64), names: list(text), extra: json } }, 'it');
  for (const value of [shape.empty(), { n: -5, f: null, names: [], extra: { a: 1 } }, { n: Number.MAX_SAFE_INTEGER, f: -0, names: ['ä', ''], extra: null }, { n: Number.MIN_SAFE_INTEGER, f: 1e308, names: ['x'], extra: 'y' }]) assert.deepEqual(shape.decode(shape.encode(value)), value);
  assert.equal(shape.encode(shape.empty())[0], 3);
  assert.deepEqual(shape.decode(new Uint8Array(0)), shape.empty());
  assert.throws(() => shape.decode(Uint8Array.of(2, 0)), /it has version 2, this plugin reads version 3/);
  assert.throws(() => shape.decode(Uint8Array.of(3, 0)), /it is too short/);
  assert.throws(() => shape.decode(Uint8Array.of(...shape.encode(shape.empty()), 9)), /it has 1 bytes too many/);
  const next = shapeOf({ version: 4, fields: { n: int64 }, migrate: { 3: older({ n: int64, f: optional(float64), names: list(text), extra: json }, ({ n }) => ({ n: n + 1 })) } }, 'it');
  assert.deepEqual(next.decode(next.migrate(3, shape.encode({ n: 6, f: 0.5, names: ['x'], extra: 1 }))), { n: 7 });
  assert.throws(() => next.migrate(3, Uint8Array.of(3, 0)), /a value of an older version is too short/);
  assert.throws(() => shape.migrate(1, new Uint8Array(0)), /no migration of it from version 1 to version 3/);
});

test('a shape gives back what it was given, wherever its buffer is full', () => {
  const value = { yes: true, small: -7, big: -(2 ** 40) - 3, exact: -(2n ** 62n), ratio: 0.1, name: 'ä€', names: ['b', ''] };
  const kinds = { yes: boolean, small: int32, big: int64, exact: bigint, ratio: float64, name: text, names: list(text) };
  for (const first of Object.keys(kinds)) {
    const { [first]: kind, ...others } = kinds;
    const shape = shapeOf({ before: text, [first]: kind, ...others }, 'a state');
    for (let length = 0; length < 200; length++) {
      const whole = { before: 'x'.repeat(length), ...value };
      assert.deepEqual(shape.decode(shape.encode(whole)), whole, `${first} behind ${length} bytes`);
    }
  }
});
