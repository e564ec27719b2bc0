// Clicks of a user that are not repetitions. Edit the tables and `process`; `npm test` runs the folders of `cases/`.

import { stateful, table, text } from '@pelton/sdk';

const HOUR_MS = 3_600_000;

export default stateful({
  name: '{{name}}',
  // The fields of the step's `key:`.
  key: { user: text },
  input: { ad: text },
  output: { user: text, ad: text },
  // What is kept of a key: which ads were clicked, forgotten after an hour.
  tables: { seen: table({ value: text, subKey: text, ttlMs: HOUR_MS }) },

  process(click, key, out) {
    const { ad } = click;
    if (key.seen.get(ad) !== null) return;
    key.seen.put(ad, 'yes');
    out.emit(click, { user: key.fields.user, ad });
    key.timers.processingTime(ad, click.batch.nowMs + HOUR_MS);
  },
  // An hour later.
  fire(timer, key) {
    key.seen.delete(timer.tag);
  },
});
