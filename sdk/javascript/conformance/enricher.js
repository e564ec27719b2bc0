// The enricher of the conformance suite (`sdk/conformance/README.md`), in JavaScript.
//
// The rule: what a record asks for stands in its `op`. Left to others: the cases.

import { enricher, int32, int64, optional, Reject, text } from '@pelton/sdk';

const scoreOf = (name) => `/scores/${encodeURIComponent(name)}`;

/** The row that an answer makes. */
function told(answer, rounds) {
  if (answer.failed !== null) return { text: `failed: ${answer.failed}`, rounds };
  if (answer.timedOut) return { text: 'timed out', rounds };
  return { status: answer.status, text: answer.text(), rounds };
}

export default enricher({
  name: 'conformance-enricher',
  connectors: { scores: 'answers GET and POST of /scores' },
  input: { op: text, name: optional(text), value: optional(int64) },
  output: { name: optional(text), status: optional(int32), text: optional(text), rounds: int32 },
  prepare(row, ask) {
    const { op, name, value } = row;
    if (op === 'ask' || op === 'twice') ask.get('scores', scoreOf(name), { cookie: '1' });
    if (op === 'post') ask.post('scores', '/scores', { body: { name, value } });
  },
  complete(row, answers, out, ask) {
    const { op, name } = row;
    if (op === 'reject') throw new Reject('refused', `${name} is refused`);
    if (op === 'pass') return out.emit(row, { name, rounds: 0 });
    const [answer] = answers;
    if (answer === undefined) throw new Reject('unknown_op', op);
    if (op === 'twice' && answer.cookie === '1' && answer.status === 200) return ask.get('scores', scoreOf(answer.text()), { cookie: '2' });
    out.emit(row, { name, ...told(answer, answer.cookie === '2' ? 2 : 1) });
  },
});
