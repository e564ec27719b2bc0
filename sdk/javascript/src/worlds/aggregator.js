// Aggregators: records of a window are folded into an accumulator, accumulators are combined, a closed window is finished.
//
// The rule: within one call each accumulator is decoded and encoded once; the host owns windows, watermarks and storage.
// Left to others: the accumulator's bytes (`shape.js`).

import { instanceOf, refusing } from '../calls.js';
import { Reject } from '../failures.js';
import { tableOf } from '../manifest.js';
import { once } from '../out.js';
import { callOf } from '../rows.js';
import { shapeOf } from '../shape.js';
import { bytes, bytesColumn, cells, decode } from '../text.js';

const NOTHING = new Uint8Array(0);

export function aggregator(definition) {
  for (const part of ['accumulator', 'fold', 'combine', 'finish']) if (definition[part] === undefined) throw new TypeError(`aggregator \`${definition.name}\` has no \`${part}\``);
  const shape = shapeOf(definition.accumulator, `the accumulator of \`${definition.name}\``);
  const table = () => [tableOf('accumulator', { schemaVersion: shape.version, migratesFrom: shape.migratesFrom })];
  const { lifecycle, run } = instanceOf(definition, () => ({ shape }), table);
  const aggregate = {
    fold: (input) => run(input.records.nowMs, (instance) => fold(instance, input)),
    combine: (parts, offsets) => run(undefined, (instance) => combine(instance, parts, offsets)),
    finish: (closing) => run(closing.nowMs, (instance) => finish(instance, closing)),
  };
  return { world: 'aggregator', lifecycle, aggregate, migrateState: migrations(() => ({ codec: shape })) };
}

/** `migrate-state` of the interface. `at` gives the codec of a table, and the parts of the plugin where values have a key. Whoever throws refuses one value. */
export function migrations(at) {
  return {
    migrate: (table, from, keySet, key, subKeys, values) => refusing(() => {
      const { codec, parts } = at(table);
      const keyAt = key.length === 0 ? () => null : openKeys(parts, keySet);
      const errors = [];
      const migrated = Array.from({ length: cells(values) }, (_, index) => {
        try {
          return codec.migrate(from, cell(values, index), { key: keyAt(key[index]) });
        } catch (error) {
          errors.push({ index, code: error instanceof Reject ? error.code : 'not_migrated', message: error instanceof Error ? error.message : String(error) });
          return null;
        }
      });
      const present = Uint8Array.from(migrated, (value) => (value === null ? 0 : 1));
      return { values: { cells: bytesColumn(migrated.map((value) => value ?? NOTHING)), present }, errors };
    }),
  };
}

export function cell(column, index) {
  return bytes(column.data).subarray(column.offsets[index], column.offsets[index + 1]);
}

const decoded = (column, shape) => Array.from({ length: cells(column) }, (_, index) => shape.decode(cell(column, index)));
const encoded = (values, shape) => bytesColumn(values.map((value) => shape.encode(value)));

function fold({ parts, self, shape }, { records, row: rows, group, accumulators }) {
  const { definition, inputs, outputs } = parts;
  const out = outputs.fresh();
  const input = inputs[0];
  const row = new input.Row(records, callOf(records), input.name);
  row._out = out;
  const values = decoded(accumulators, shape);
  for (let index = 0; index < rows.length; index++) {
    row.index = rows[index];
    try {
      definition.fold(values[group[index]], row, self);
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      out.errors.push({ index: rows[index], code: error.code, message: error.message });
    }
  }
  return { accumulators: encoded(values, shape), errors: once(out.errors) };
}

function combine({ parts, self, shape }, column, offsets) {
  const values = decoded(column, shape);
  const groups = [];
  for (let group = 0; group + 1 < offsets.length; group++) {
    const whole = shape.empty();
    for (let part = offsets[group]; part < offsets[group + 1]; part++) parts.definition.combine(whole, values[part], self);
    groups.push(whole);
  }
  return encoded(groups, shape);
}

function finish({ parts, self, shape }, closing) {
  const out = parts.outputs.fresh();
  const { groups, firing, firingNumber, accumulators } = closing;
  const keys = openKeys(parts, groups.keys);
  decoded(accumulators, shape).forEach((value, index) => {
    const window = {
      index,
      startMs: Number(groups.startMs[index]),
      endMs: Number(groups.endMs[index]),
      firing: firing[index],
      firingNumber: firingNumber[index],
      key: keys(groups.key[index]),
    };
    try {
      const result = parts.definition.finish(value, window, self);
      if (result !== null && result !== undefined) out.emit(window, result);
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      out.reject(window, error.code, error.message);
    }
  });
  return out.finish();
}

/** The fields of a key by its index. */
export function openKeys({ key }, keys) {
  if (key.fields.length === 0 || keys.fields.length === 0) return (index) => ({ text: cells(keys.bytes) > index ? decode(cell(keys.bytes, index)) : '' });
  const row = new key.Row({ fields: keys.fields }, null, null);
  return (index) => {
    row.index = index;
    return row.toObject();
  };
}
