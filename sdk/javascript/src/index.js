// Pelton plugins in JavaScript: the fields you want, the fields you make of them, and a function between the two.
//
// The rule: nothing here or behind it needs WebAssembly, Node or a browser; a plugin's source runs in its tests as it runs in the host.
// Left to others: building a component (`bin/`), running a plugin in tests (`testing/`).

export { bigint, binary, boolean, date, decimal, float64, int32, int64, json, jsonText, list, optional, text, timestamp } from './kinds.js';
export { arrivalTime, eventTime, operation, partitionKey, payload, position } from './kinds.js';
export { Fatal, Reject, Retry } from './failures.js';
export { Decimal } from './decimal.js';
export { log, metrics } from './host.js';
export { decode as fromUtf8, encode as toUtf8 } from './text.js';
export { older } from './shape.js';
export { table } from './state.js';
export { transformer } from './worlds/transformer.js';
export { aggregator } from './worlds/aggregator.js';
export { stateful } from './worlds/stateful.js';
export { keyed } from './worlds/keyed.js';
export { enricher } from './worlds/enricher.js';
