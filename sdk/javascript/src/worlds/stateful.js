// Stateful transformers: records and timers in, records out, with tables of state by key.
//
// The rule: `process` and `fire` see one record or timer with its key; what they wrote counts when the call returns.
// Left to others: tables (`state.js`), timers (`out.js`).

import { instanceOf } from '../calls.js';
import { Reject } from '../failures.js';
import { Timers } from '../out.js';
import { callOf } from '../rows.js';
import { Key, manifestTables, tablesOf } from '../state.js';
import { decode } from '../text.js';
import { cell, migrations } from './aggregator.js';

export function stateful(definition) {
  if (definition.process === undefined) throw new TypeError(`stateful plugin \`${definition.name}\` has no \`process\``);
  const tables = (parts) => tablesOf(parts.tables, definition.name);
  let current = null;
  const prepare = (parts) => (current = { parts, tables: tables(parts) });
  const { lifecycle, run } = instanceOf(definition, prepare, (parts) => manifestTables(tables(parts)));
  return {
    world: 'stateful-transformer',
    lifecycle,
    transform: { process: (batch) => run(batch.nowMs, (instance) => process(instance, batch)) },
    onTimers: { fire: (due) => run(due.nowMs, (instance) => fire(instance, due)) },
    migrateState: migrations((index) => tableAt(current, index)),
  };
}

function tableAt(current, index) {
  if (current === null) throw new Error('`migrate` was called before `init`');
  const { parts, tables } = current;
  if (index >= tables.length) throw new Error(`there is no table ${index}, there are ${tables.length}`);
  return { codec: tables[index].codec, parts };
}

function process({ parts, self, tables }, batch) {
  const { definition, inputs, outputs } = parts;
  const out = withTimers(outputs);
  const input = inputs[batch.input];
  const row = new input.Row(batch, callOf(batch), input.name);
  row._out = out;
  const key = new Key(parts, batch.keys, tables, out.timers);
  for (let index = 0; index < batch.count; index++) {
    row.index = index;
    key.index = batch.keyIndex[index];
    refusing(out, row, index, () => definition.process(row, key, out, self));
  }
  return out.finish();
}

export function withTimers(outputs) {
  const out = outputs.fresh();
  out.timers = new Timers();
  return out;
}

/** Runs `each`; whoever throws a Reject refuses that row. */
export function refusing(out, row, index, each) {
  try {
    each();
  } catch (error) {
    if (!(error instanceof Reject)) throw error;
    row.index = index;
    out.reject(row, error.code, error.message);
  }
}

function fire({ parts, self, tables }, due) {
  const { definition, outputs } = parts;
  const out = withTimers(outputs);
  const key = new Key(parts, due.keys, tables, out.timers);
  eachTimer(due, out, (timer) => {
    key.index = timer.key;
    definition.fire?.(timer, key, out, self);
  });
  return out.finish();
}

/** Calls `each` with every timer that is due. */
export function eachTimer(due, out, each) {
  const call = callOf({ ...due, count: due.key.length });
  for (let index = 0; index < due.key.length; index++) {
    const timer = { index, key: due.key[index], tag: decode(cell(due.tag, index)), domain: due.domain[index], atMs: Number(due.atMs[index]), batch: call };
    refusing(out, timer, index, () => each(timer));
  }
}

