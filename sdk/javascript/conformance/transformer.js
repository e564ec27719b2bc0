// The transformer of the conformance suite (`sdk/conformance/README.md`), in JavaScript.
//
// The rule: what a record asks for stands in its `op`. Left to others: the cases.

import { bigint, binary, boolean, date, decimal, eventTime, Fatal, float64, int32, int64, jsonText, log, metrics, optional, partitionKey, position, Retry, text, timestamp, transformer } from '@pelton/sdk';

const FIELDS = {
  flag: optional(boolean),
  small: optional(int32),
  big: optional(int64),
  ratio: optional(float64),
  name: optional(text),
  blob: optional(binary),
  price: optional(decimal),
  at: optional(timestamp),
  day: optional(date),
  extra: optional(jsonText),
};

function copy(row, { factor, prefix }) {
  const copied = { op: row.op };
  for (const name of Object.keys(FIELDS)) copied[name] = row[name];
  if (copied.ratio !== null) copied.ratio *= factor;
  if (copied.name !== null) copied.name = prefix + copied.name;
  return copied;
}

const BOUNDS = {
  op: 'bounds',
  flag: true,
  small: -2147483648,
  big: 9223372036854775807n,
  ratio: -0,
  name: 'ä€😀\u0000',
  blob: Uint8Array.of(0x00, 0xff, 0x80),
  price: '-99999999999999999999.999999999999999999',
  at: 253402300799999999n,
  day: -719162,
  extra: '{"a":[1,null,"x"]}',
};

const OPS = {
  copy: (row, out, config) => out.emit(row, copy(row, config)),
  drop() {},
  split(row, out) {
    for (let nth = 0; nth < row.big; nth++) out.other.emit(row, { name: row.name, nth, time: row.time + nth * 1_000_000 });
  },
  both(row, out, config) {
    out.emit(row, copy(row, config));
    out.other.emit(row, { name: row.name, nth: -1, time: row.time });
  },
  reject: (row) => row.reject('refused', `${row.name} is refused`),
  late(row, out, config) {
    OPS.both(row, out, config);
    OPS.reject(row);
    OPS.both(row, out, config);
  },
  bounds: (row, out) => out.emit(row, BOUNDS),
  nulls: (row, out) => out.emit(row, { op: 'nulls' }),
  who: (row, out) => out.emit(row, { op: 'who', name: row.key, big: row.place.subSequence }),
  where: (row, out) => out.emit(row, { op: 'where', name: row.place.shard, big: row.place.subSequence }),
  log(row) {
    log.info(row.name);
    metrics.counter('logged');
  },
  trap() {
    throw new Error('the record asks for a trap');
  },
  fatal(row) {
    throw new Fatal(row.name);
  },
  retry(row) {
    throw new Retry(row.name);
  },
};

export default transformer({
  name: 'conformance-transformer',
  config: { factor: { type: 'number', default: 1 }, prefix: { type: 'string', default: '' } },
  input: { op: text, ...FIELDS, time: eventTime, key: partitionKey, place: position },
  outputs: {
    out: { op: text, ...FIELDS, big: optional(bigint) },
    other: { name: optional(text), nth: int64, time: eventTime },
  },
  start(config) {
    if (config.factor < 0) throw new Error('factor is negative');
    return config;
  },
  process(row, out, config) {
    const op = OPS[row.op];
    if (op === undefined) row.reject('unknown_op', row.op);
    else op(row, out, config);
  },
});
