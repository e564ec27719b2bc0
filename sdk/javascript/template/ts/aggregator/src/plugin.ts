// Clicks and turnover of a window. Edit the fields and the three functions; `npm test` runs the folders of `cases/`.

import { aggregator, float64, int64, Reject } from '@pelton/sdk';

export default aggregator({
  name: '{{name}}',
  // What is read of a record. Fields that are not named here are not even decoded.
  input: { amount: float64 },
  // What is kept of a window, and what a window gives.
  accumulator: { clicks: int64, cents: int64 },
  output: { clicks: int64, cents: int64 },

  // One record more. What is refused is refused before the accumulator is changed.
  fold(total, click) {
    if (click.amount < 0) throw new Reject('negative_amount', `amount is ${click.amount}`);
    total.clicks += 1;
    total.cents += Math.round(click.amount * 100);
  },
  // Two parts of one window.
  combine(into, part) {
    into.clicks += part.clicks;
    into.cents += part.cents;
  },
  // The window has ended.
  finish: (total) => total,
});
