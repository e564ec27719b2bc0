// Transformers: records in, records out (map, filter, flat-map, route).
//
// The rule: `process` sees one record, `batch` all of a call; a plugin has one of them.
// Left to others: rows (`rows.js`), results (`out.js`).

import { instanceOf } from '../calls.js';
import { Reject } from '../failures.js';
import { callOf, columnsOf, guarded, Rows } from '../rows.js';

export function transformer(definition) {
  exactlyOne(definition);
  const { lifecycle, run } = instanceOf(definition, () => ({}), () => []);
  const transform = { process: (batch) => run(batch.nowMs, (instance) => processed(instance, batch)) };
  return { world: 'transformer', lifecycle, transform };
}

export function exactlyOne({ name, process, batch }) {
  if ((process === undefined) === (batch === undefined)) throw new TypeError(`plugin \`${name}\` has ${process ? 'both `process` and `batch`' : 'no `process`'}: give it one of \`process\` (a record) and \`batch\` (all of a call)`);
}

function processed({ parts, self }, batch) {
  const { definition, inputs, outputs } = parts;
  const out = outputs.fresh();
  const input = inputs[batch.input];
  const row = new input.Row(batch, callOf(batch), input.name);
  row._out = out;
  each(definition, row, batch, input, out, self);
  return out.finish();
}

/** Runs the author's function over the rows. */
export function each({ process, batch: whole }, row, batch, input, out, self) {
  if (whole !== undefined) {
    alone(out, row, batch.count, () => whole(new Rows(row, batch.count, columnsOf(batch, input.fields)), out, self));
    return;
  }
  for (let index = 0; index < batch.count; index++) {
    row.index = index;
    try {
      process(row, out, self);
    } catch (error) {
      if (!(error instanceof Reject)) throw error;
      row.index = index;
      out.reject(row, error.code, error.message);
    }
  }
}

/** A Reject that leaves `batch` can be laid to a record only when there is one. The host finds it: it calls again with fewer. */
function alone(out, row, count, call) {
  if (count !== 1) return call();
  row.index = 0;
  return guarded(out, row, call);
}
