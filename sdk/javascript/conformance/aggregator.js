// The aggregator of the conformance suite (`sdk/conformance/README.md`), in JavaScript.
//
// The rule: what a record asks for stands in its `op`. Left to others: the cases.

import { aggregator, float64, int64, list, optional, Reject, text } from '@pelton/sdk';

export default aggregator({
  name: 'conformance-aggregator',
  config: { empty: { type: 'boolean', default: false } },
  input: { op: text, amount: optional(float64), name: optional(text) },
  output: { records: int64, total: float64, least: optional(float64), names: text },
  accumulator: { records: int64, total: float64, least: optional(float64), names: list(text) },
  fold(acc, row) {
    const { op, amount, name } = row;
    if (op === 'reject') throw new Reject('refused', `${name} is refused`);
    if (op === 'trap') throw new Error('the record asks for a trap');
    if (op !== 'add') throw new Reject('unknown_op', op);
    acc.records += 1;
    if (amount !== null) {
      acc.total += amount;
      acc.least = acc.least === null ? amount : Math.min(acc.least, amount);
    }
    if (name !== null) acc.names.push(name);
  },
  combine(into, part) {
    into.records += part.records;
    into.total += part.total;
    if (part.least !== null) into.least = into.least === null ? part.least : Math.min(into.least, part.least);
    into.names.push(...part.names);
  },
  finish(acc, _window, config) {
    if (config.empty && acc.total === 0) return null;
    return { ...acc, names: acc.names.join(',') };
  },
});
