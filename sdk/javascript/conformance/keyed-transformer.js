// The keyed transformer of the conformance suite (`sdk/conformance/README.md`), in JavaScript.
//
// The rule: what a record asks for stands in its `op`. Left to others: the cases.

import { int64, keyed, optional, Reject, text } from '@pelton/sdk';

const seen = (key) => ({ key: key.fields.key, count: key.state.count, total: key.state.total });

const OPS = {
  add(row, key, out) {
    key.state.count += 1;
    key.state.total += row.value ?? 0;
    out.emit(row, seen(key));
  },
  clear(row, key, out) {
    key.clear();
    out.emit(row, { key: key.fields.key, count: 0, total: 0 });
  },
  timer: (row, key) => key.timers.eventTime('timer', row.value),
  reject(row, key) {
    throw new Reject('refused', `${key.fields.key} is refused`);
  },
  trap() {
    throw new Error('the record asks for a trap');
  },
};

export default keyed({
  name: 'conformance-keyed',
  key: { key: text },
  input: { op: text, value: optional(int64) },
  output: { key: text, count: int64, total: int64 },
  state: { count: int64, total: int64 },
  process(row, key, out) {
    const op = OPS[row.op];
    if (op === undefined) throw new Reject('unknown_op', row.op);
    op(row, key, out);
  },
  fire: (timer, key, out) => out.emit(timer, seen(key)),
});
