// An alert when a user fails to log in several times and then succeeds, all within a minute: somebody may have guessed a password.
//
// The rule: logins are judged in the order in which they happened, not in that in which they arrive. Each waits in the state until the
// watermark has passed it; then no earlier one can come any more, and its timer judges it. What comes later still is told as late.

import { eventTime, int64, list, stateful, table, text, timestamp } from '@pelton/sdk';

const SECOND_US = 1_000_000;
const OUTCOMES = ['failed', 'ok'];
// The tag of the timer that forgets; those that judge a login have a `/` in theirs.
const FORGET = 'forget';

export default stateful({
  name: 'pattern-detection',
  doc: 'Alerts of several failed logins and a success of one user within a short time',
  config: {
    failures: { type: 'integer', default: 3, minimum: 1, maximum: 100, description: 'so many failed logins before the success' },
    within_s: { type: 'integer', default: 60, minimum: 1, description: 'seconds from the first of them to the success' },
  },
  key: { user: text },
  input: { id: text, outcome: text, address: text, at: eventTime },
  outputs: {
    alerts: { user: text, first_failure: timestamp, success: timestamp, addresses: text },
    late: { user: text, id: text, outcome: text, happened: timestamp },
  },
  tables: {
    // Logins that the watermark has not passed, in the order in which they happened.
    waiting: table({ value: { outcome: text, address: text, atUs: int64 }, subKey: text }),
    // The newest failures since the last success: no more than an alert needs.
    failed: table({ value: { atUs: list(int64), addresses: list(text) } }),
  },

  process(login, key, out) {
    const { id, outcome, at } = login;
    if (!OUTCOMES.includes(outcome)) {
      login.reject('unknown_outcome', `\`${outcome}\` is none of ${OUTCOMES.join(', ')}`);
      return;
    }
    const afterMs = Math.floor(at / 1000) + 1;
    const { watermarkMs } = login.batch;
    if (watermarkMs !== null && afterMs <= watermarkMs) {
      out.late.emit(login, { user: key.fields.user, id, outcome, happened: at });
      return;
    }
    // A login that a producer sends twice has one place, so it counts once.
    const place = `${String(at).padStart(16, '0')}/${id}`;
    key.waiting.put(place, { outcome, address: login.address, atUs: at });
    key.timers.eventTime(place, afterMs);
  },

  fire(timer, key, out, config) {
    if (timer.tag === FORGET) {
      key.failed.delete();
      return;
    }
    const login = key.waiting.get(timer.tag);
    key.waiting.delete(timer.tag);
    const failed = within(key.failed.get(), login.atUs - config.within_s * SECOND_US);
    if (login.outcome === 'failed') {
      failed.atUs = [...failed.atUs, login.atUs].slice(-config.failures);
      failed.addresses = [...failed.addresses, login.address].slice(-config.failures);
      key.failed.put(failed);
      // The timer of the failure before it is replaced: one is set, for the newest.
      key.timers.eventTime(FORGET, timer.atMs + config.within_s * 1000);
      return;
    }
    if (failed.atUs.length === config.failures) {
      const addresses = [...new Set([...failed.addresses, login.address])].join(', ');
      out.alerts.emit(timer, { user: key.fields.user, first_failure: failed.atUs[0], success: login.atUs, addresses });
    }
    // A success ends the row of failures, whether there was an alert or not.
    key.failed.delete();
    key.timers.cancel(FORGET);
  },
});

/** The failures that happened at `fromUs` or after. */
function within(failed, fromUs) {
  if (failed === null) return { atUs: [], addresses: [] };
  const first = failed.atUs.findIndex((atUs) => atUs >= fromUs);
  if (first < 0) return { atUs: [], addresses: [] };
  return { atUs: failed.atUs.slice(first), addresses: failed.addresses.slice(first) };
}
