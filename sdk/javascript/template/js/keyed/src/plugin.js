// Clicks and turnover of an ad so far. Edit the fields and `process`; `npm test` runs the folders of `cases/`.

import { float64, int64, keyed, Reject, text } from '@pelton/sdk';

const DAY_MS = 86_400_000;

export default keyed({
  name: '{{name}}',
  // The fields of the step's `key:`.
  key: { ad: text },
  input: { amount: float64 },
  // What is kept of a key.
  state: { clicks: int64, cents: int64 },
  output: { ad: text, clicks: int64, cents: int64 },

  process(click, key, out) {
    if (click.amount < 0) throw new Reject('negative_amount', `amount is ${click.amount}`);
    key.state.clicks += 1;
    key.state.cents += Math.round(click.amount * 100);
    out.emit(click, { ad: key.fields.ad, clicks: key.state.clicks, cents: key.state.cents });
    // Each click puts the end off.
    key.timers.processingTime('forget', click.batch.nowMs + DAY_MS);
  },
  // A day without a click.
  fire(timer, key) {
    key.clear();
  },
});
