// Keyed transformers: one object of state a key comes in with the records and goes back with the results.
//
// The rule: `key.state` is read when it is first asked for and written once a call; a state that nobody touched goes back as it came.
// Left to others: its bytes (`shape.js`).

import { instanceOf } from '../calls.js';
import { tableOf } from '../manifest.js';
import { callOf } from '../rows.js';
import { shapeOf } from '../shape.js';
import { Key } from '../state.js';
import { bytesColumn, cells } from '../text.js';
import { cell, migrations } from './aggregator.js';
import { eachTimer, refusing, withTimers } from './stateful.js';

const NOTHING = new Uint8Array(0);

export function keyed(definition) {
  for (const part of ['state', 'process']) if (definition[part] === undefined) throw new TypeError(`keyed plugin \`${definition.name}\` has no \`${part}\``);
  const shape = shapeOf(definition.state, `the state of \`${definition.name}\``);
  const table = () => [tableOf('state', { schemaVersion: shape.version, migratesFrom: shape.migratesFrom, ttlMs: definition.ttlMs ?? null })];
  let current = null;
  const { lifecycle, run } = instanceOf(definition, (parts) => (current = { shape, parts }), table);
  const exported = {
    process: (batch, states) => run(batch.nowMs, (instance) => process(instance, batch, states)),
    fire: (due, states) => run(due.nowMs, (instance) => fire(instance, due, states)),
  };
  return { world: 'keyed-transformer', lifecycle, keyed: exported, migrateState: migrations(() => ({ codec: shape, parts: current?.parts })) };
}

/** A key whose state came with the call. */
class KeyWithState extends Key {
  constructor(parts, keySet, timers, shape, states) {
    super(parts, keySet, [], timers);
    Object.assign(this, { _shape: shape, _states: states, _read: new Array(cells(states)) });
  }

  /** The state; of a new key that of the shape's zeros. Change its members, or give another. */
  get state() {
    const read = this._read[this.index];
    if (read !== undefined && read !== null) return read;
    return (this._read[this.index] = read === null ? this._shape.empty() : this._shape.decode(cell(this._states, this.index)));
  }

  set state(value) {
    this._read[this.index] = value;
  }

  /** Whether the key had no state when the call came. */
  get isNew() {
    return cell(this._states, this.index).length === 0;
  }

  /** Deletes the state. */
  clear() {
    this._read[this.index] = null;
  }

  finish() {
    const zeros = this._shape.encode(this._shape.empty());
    return bytesColumn(this._read.length === 0 ? [] : Array.from(this._read, (read, index) => {
      const before = cell(this._states, index);
      if (read === undefined) return before;
      if (read === null) return NOTHING;
      const after = this._shape.encode(read);
      // A key that was only looked at gets no state.
      return before.length === 0 && same(after, zeros) ? NOTHING : after;
    }));
  }
}

function same(left, right) {
  return left.length === right.length && left.every((byte, index) => byte === right[index]);
}

function process({ parts, self, shape }, batch, states) {
  const { definition, inputs, outputs } = parts;
  const out = withTimers(outputs);
  const input = inputs[batch.input];
  const row = new input.Row(batch, callOf(batch), input.name);
  row._out = out;
  const key = new KeyWithState(parts, batch.keys, out.timers, shape, states);
  for (let index = 0; index < batch.count; index++) {
    row.index = index;
    key.index = batch.keyIndex[index];
    refusing(out, row, index, () => definition.process(row, key, out, self));
  }
  return { processed: out.finish(), states: key.finish() };
}

function fire({ parts, self, shape }, due, states) {
  const out = withTimers(parts.outputs);
  const key = new KeyWithState(parts, due.keys, out.timers, shape, states);
  eachTimer(due, out, (timer) => {
    key.index = timer.key;
    parts.definition.fire?.(timer, key, out, self);
  });
  return { processed: out.finish(), states: key.finish() };
}
