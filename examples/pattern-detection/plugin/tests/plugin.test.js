// The folders of `cases/`: each is run in one call, record by record, and with a fresh instance for each record.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { check, run } from '@pelton/sdk/testing';
import plugin from '../src/plugin.js';

check(new URL('../cases/', import.meta.url), plugin);

// Alerts by the definition alone: for each success, the failures since the success before it.
function expected(logins, failures, withinUs) {
  const found = [];
  let since = [];
  for (const { _event_time: at, outcome } of [...logins].sort((a, b) => a._event_time - b._event_time)) {
    if (outcome === 'failed') since.push(at);
    else {
      const near = since.filter((failure) => failure >= at - withinUs);
      if (near.length >= failures) found.push({ first_failure: near.at(-failures), success: at });
      since = [];
    }
  }
  return found;
}

test('whatever the order of arrival, the alerts are those of the order in which logins happened', () => {
  let seed = 7;
  const random = (below) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  let alerts = 0;
  for (let round = 0; round < 200; round++) {
    const count = 2 + random(12);
    const login = (_, id) => ({ user: 'u', id: String(id), outcome: random(3) ? 'failed' : 'ok', address: 'a', _event_time: (id * 20_000 + random(20_000)) * 1000 });
    const logins = Array.from({ length: count }, login);
    const arriving = [...logins].sort(() => random(3) - 1);
    const rows = run(plugin, { rows: [...arriving, { _watermark: 10_000_000 }] });
    const shown = rows.map(({ first_failure, success }) => ({ first_failure, success }));
    assert.deepEqual(shown, expected(logins, 3, 60_000_000));
    alerts += shown.length;
  }
  assert.ok(alerts > 20, `only ${alerts} alerts: the rounds show nothing`);
});
