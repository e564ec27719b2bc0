// Clicks with the score of their ad, which another service knows. Edit what is asked and what is made of the answer; `npm test` runs the
// folders of `cases/`.

import { enricher, float64, optional, Reject, text } from '@pelton/sdk';

export default enricher({
  name: '{{name}}',
  // Names that requests use; the job file gives each an address.
  connectors: { scores: 'answers GET /scores/AD with { "score": number }' },
  input: { ad: text },
  output: { ad: text, score: optional(float64) },

  prepare(click, ask) {
    ask.get('scores', `/scores/${encodeURIComponent(click.ad)}`);
  },
  complete(click, [answer], out) {
    if (answer.status === 404) out.emit(click, { ad: click.ad });
    else if (answer.status === 200) out.emit(click, { ad: click.ad, score: answer.json().score });
    else throw new Reject('no_score', answer.failed ?? `the answer was ${answer.status ?? 'too late'}`);
  },
});
