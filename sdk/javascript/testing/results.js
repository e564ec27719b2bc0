// What a plugin gave back, as JSON rows; checked as the host checks it.
//
// The rule: a broken promise of the interface is an error that names the output and the field.
// Left to others: comparing rows.

import { Decimal, fromBytes } from '../src/decimal.js';
import { OPERATIONS } from '../src/kinds.js';

/** Rows in the order of the records, groups or timers that they come from. */
export function rowsOf(manifest, processed, where) {
  return placed(manifest, processed, where).map(({ row }) => row);
}

/** The same, each with the place that it comes from. */
export function placed(manifest, { emitted, errors }, { count, first = 0, keys = null }) {
  const found = [];
  const seen = new Set();
  for (const output of emitted) {
    if (seen.has(output.output)) throw new Error(`output ${output.output} is emitted twice in one call`);
    seen.add(output.output);
    found.push(...outputRows(manifest, output, count, keys));
  }
  for (const { index, code, message } of errors) {
    if (index >= count) throw new Error(`record ${index} is refused, but ${count} were given`);
    found.push({ source: index, row: { _reject: { index: index + first, code, message } } });
  }
  return found.sort((left, right) => left.source - right.source);
}

function outputRows(manifest, emitted, count, keys) {
  const declared = manifest.outputs[emitted.output];
  if (declared === undefined) throw new Error(`there is no output ${emitted.output}`);
  if (declared.fields.length !== emitted.fields.length) throw new Error(`output \`${declared.name}\` has ${declared.fields.length} fields, ${emitted.fields.length} were emitted`);
  const cells = declared.fields.map((field, index) => cellsOf(field, emitted.fields[index], emitted.source.length));
  return Array.from(emitted.source, (source, at) => {
    if (source >= count) throw new Error(`a row comes from record ${source}, but ${count} were given`);
    const row = keys !== null && keys[source] !== null ? { _key: keys[source] } : {};
    if (manifest.outputs.length > 1) row._output = declared.name;
    if (declared.sets.partitionKey) row._partition_key = utf8(cell(emitted.partitionKey, at));
    if (declared.sets.eventTime) row._event_time = number(emitted.eventUs[at]);
    if (declared.sets.payload) row._payload = utf8(cell(emitted.payload, at));
    if (declared.sets.operation) row._operation = OPERATIONS[emitted.operation[at]];
    declared.fields.forEach(({ path }, index) => (row[path] = cells[index](at)));
    return { source, row };
  });
}

const number = (value) => (typeof value === 'bigint' && BigInt.asIntN(53, value) === value ? Number(value) : value);
const cell = ({ data, offsets }, at) => data.subarray(offsets[at], offsets[at + 1]);
const utf8 = (bytes) => new TextDecoder('utf-8', { fatal: true }).decode(bytes);

function cellsOf({ path, kind, optional }, column, count) {
  const { tag, val } = column.values;
  const length = tag === 'decimal' ? val.unscaled.offsets.length - 1 : (val.offsets?.length ?? val.length + 1) - 1;
  if (tag !== kind || length !== count) throw new Error(`field \`${path}\` is declared as ${kind}; emitted are ${length} cells of ${tag} for ${count} rows`);
  if (!optional && column.null.some((one) => one !== 0)) throw new Error(`field \`${path}\` has no value, but is not optional`);
  const read = READ[kind](val);
  return (at) => (column.null.length > 0 && column.null[at] !== 0 ? null : read(at));
}

const plain = (cells) => (at) => number(cells[at]);

/** Bytes as text where they are UTF-8, else as a list of numbers. */
function shown(bytes) {
  try {
    return utf8(bytes);
  } catch {
    return Array.from(bytes);
  }
}

/** Without zeros at the end: how many there are depends on the other cells of the column. */
const shortest = (text) => (text.includes('.') ? text.replace(/\.?0+$/, '') : text);

const READ = {
  boolean: (cells) => (at) => cells[at] !== 0,
  int32: plain,
  date: plain,
  int64: plain,
  timestamp: plain,
  float64: (cells) => (at) => (Number.isFinite(cells[at]) ? cells[at] : String(cells[at])),
  text: (column) => (at) => utf8(cell(column, at)),
  json: (column) => (at) => JSON.parse(utf8(cell(column, at))),
  binary: (column) => (at) => shown(cell(column, at)),
  decimal: ({ unscaled, scale }) => (at) => shortest(new Decimal(fromBytes(cell(unscaled, at)), scale).toString()),
};
