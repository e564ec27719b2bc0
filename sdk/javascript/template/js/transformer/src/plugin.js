// Clicks that are worth something, in cents. Edit the fields and `process`; `npm test` runs the folders of `cases/`.

import { float64, int64, text, transformer } from '@pelton/sdk';

export default transformer({
  name: '{{name}}',
  // The step's `config:` in the job file, as JSON Schema.
  config: { least: { type: 'number', default: 0, description: 'sales below this are dropped' } },
  // What is read of a record. Fields that are not named here are not even decoded.
  input: { ad: text, amount: float64 },
  // What is made of it.
  output: { ad: text, cents: int64 },

  process(click, out, config) {
    if (click.amount < 0) click.reject('negative_amount', `amount is ${click.amount}`);
    else if (click.amount >= config.least) out.emit(click, { ad: click.ad, cents: Math.round(click.amount * 100) });
    // neither emitted nor rejected: dropped
  },
});
