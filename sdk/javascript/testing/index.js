// Runs a plugin over rows written as JSON, in Node, without WebAssembly.
//
// The rule: every run is made several ways (one call, a call a record, a fresh instance a call; for aggregators also in two halves that are
// combined), and they must agree, because the host may do any of these.
// Left to others: JSON to columns (`batch.js`) and back (`results.js`), the memory of state and timers (`memory.js`), folders of cases
// (`cases.js`).

import { inspect, isDeepStrictEqual } from 'node:util';
import { Aggregations } from './aggregator.js';
import { Calls, told } from './calls.js';

export { check } from './cases.js';

/**
 * The results of a plugin as JSON rows; rejects are rows `{ _reject: { index, code, message } }`.
 *
 * Rows are objects with the wanted fields. Beside them: `_partition_key`, `_event_time` and `_arrival_time` (microseconds), `_input` where
 * a plugin has several, `_key` for the group or key where the plugin names no key fields. Of stateful and keyed plugins a row
 * `{ _watermark: ms }` or `{ _clock: ms }` fires timers. `answer` gives an enricher's answers: `request => ({ status, body })`,
 * `({ failed: 'why' })` or `({ timedOut: true })`.
 */
export function run(plugin, { config = {}, rows = [], answer } = {}) {
  const text = typeof config === 'string' ? config : JSON.stringify(config);
  if (plugin?.world === undefined) throw new TypeError('this is no plugin: give what transformer(...), aggregator(...), ... returned');
  if (plugin.world === 'aggregator') return aggregated(plugin, text, rows);
  const ways = [
    ['one call', { cut: Infinity, fresh: false }],
    ['a call for each record', { cut: 1, fresh: false }],
    ['a fresh instance for each record', { cut: 1, fresh: true }],
    ['calls of two records', { cut: 2, fresh: false }],
  ];
  return agreed(ways.map(([how, way]) => [how, new Calls(plugin, text, { ...way, answer }).run(rows)]));
}

/** What a plugin says of itself under a config. */
export function describe(plugin, config = {}) {
  return told(() => plugin.lifecycle.describe(JSON.stringify(config)));
}

function aggregated(plugin, config, rows) {
  const calls = new Aggregations(plugin, config, rows);
  return agreed([
    ['one call', calls.folded(Infinity)],
    ['a call for each record', calls.folded(1)],
    ['two halves, combined', calls.combined()],
  ]);
}

function agreed([[first, expected], ...others]) {
  for (const [how, found] of others) {
    if (!isDeepStrictEqual(found, expected)) throw new Error(`results depend on how records are cut into calls: ${how} gives ${shown(found)}, ${first} gives ${shown(expected)}`);
  }
  return expected;
}


const shown = (rows) => inspect(rows, { depth: 6, breakLength: 160 });
