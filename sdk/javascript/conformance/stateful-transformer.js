// The stateful transformer of the conformance suite (`sdk/conformance/README.md`), in JavaScript.
//
// The rule: what a record asks for stands in its `op`. Left to others: the cases.

import { fromUtf8, int64, optional, Reject, stateful, table, text, toUtf8 } from '@pelton/sdk';

const SIDE = { op: text, name: optional(text), value: optional(int64), text: optional(text) };

/** Version 2 of a value: the byte 02, which the SDK writes, and the text. */
const VERSION_2 = { version: 2, empty: () => '', encode: toUtf8, decode: fromUtf8, migrate: { 1: older } };

function older(bytes) {
  const text = fromUtf8(bytes);
  if (text === 'bad') throw new Reject('not_migrated', 'bad is refused');
  return text;
}

const OPS = {
  put: (row, key) => key.values.put(row.text),
  get: (row, key, emit) => emit('get', { text: key.values.get() }),
  delete: (row, key) => key.values.delete(),
  push: (row, key) => key.lists.put(row.name, row.text),
  pull: (row, key, emit) => emit('pull', { text: key.lists.get(row.name) }),
  remove: (row, key) => key.lists.delete(row.name),
  scan(row, key, emit) {
    const entries = key.lists.scan({ start: row.name, page: row.value ?? 100 });
    for (const [name, value] of entries) emit(name, { text: value });
  },
  many: (row, key, emit) => emit('many', { number: key.values.all().filter((value) => value !== null).length }),
  watermark: (row, key, emit) => emit('watermark', { number: row.batch.watermarkMs }),
  timer: (row, key) => key.timers.eventTime(row.name, row.value),
  clock: (row, key) => key.timers.processingTime(row.name, row.value),
  cancel: (row, key) => key.timers.cancel(row.name),
  side: (row, key, emit) => emit(row.input, {}),
  reject(row, key) {
    key.values.put(row.text);
    throw new Reject('refused', `${row.name} is refused`);
  },
  late(row, key, emit) {
    emit('late', {});
    OPS.timer(row, key);
    OPS.reject(row, key);
  },
  trap(row, key) {
    key.values.put(row.text);
    throw new Error('the record asks for a trap');
  },
};

export default stateful({
  name: 'conformance-stateful',
  config: { version: { type: 'integer', enum: [1, 2], default: 1 } },
  key: { key: text },
  inputs: { left: SIDE, right: SIDE },
  output: { key: text, what: text, text: optional(text), number: optional(int64) },
  tables: ({ version }) => ({
    values: table({ value: version === 2 ? VERSION_2 : text, prefetch: true }),
    lists: table({ value: text, subKey: text }),
  }),
  process(row, key, out) {
    const op = OPS[row.op];
    if (op === undefined) throw new Reject('unknown_op', row.op);
    op(row, key, (what, more) => out.emit(row, { key: key.fields.key, what, ...more }));
  },
  fire(timer, key, out) {
    out.emit(timer, { key: key.fields.key, what: 'fired', text: timer.tag, number: timer.atMs });
    if (timer.tag === 'again' && key.values.get() !== null) key.timers.eventTime('again', timer.atMs + 1000);
  },
});
