// What a field is: its kind on the wire, where it comes from, and whether it may be null.
//
// The rule: a declaration is plain data that never changes; `from`, `about` and `optional` give a new one.
// Left to others: reading cells (`readers.js`), writing them (`builders.js`).

export class Kind {
  constructor(name, wire, more = {}) {
    this.name = name;
    this.wire = wire;
    this.nullable = more.nullable ?? false;
    this.path = more.path ?? null;
    this.doc = more.doc ?? '';
    this.element = more.element ?? null;
    Object.freeze(this);
  }

  #with(more) {
    return new Kind(this.name, this.wire, { ...this, ...more });
  }

  /** The field's dotted path in the record, where it is not the member's own name. */
  from(path) {
    return this.#with({ path });
  }

  /** Words for people who look at the plugin. */
  about(doc) {
    return this.#with({ doc });
  }

  orNull() {
    return this.#with({ nullable: true });
  }
}

/** What a record carries beside its fields. */
export class Identity {
  constructor(name, flag, settable) {
    this.name = name;
    this.flag = flag;
    this.settable = settable;
    Object.freeze(this);
  }
}

export const boolean = new Kind('boolean', 'boolean');
export const int32 = new Kind('int32', 'int32');
/** A number; what a number cannot hold exactly is refused. */
export const int64 = new Kind('int64', 'int64');
/** A BigInt, for those who want to write numbers beyond 2^53. */
export const bigint = new Kind('bigint', 'int64');
export const float64 = new Kind('float64', 'float64');
export const text = new Kind('text', 'text');
export const binary = new Kind('binary', 'binary');
export const decimal = new Kind('decimal', 'decimal');
/** Microseconds since 1970, as a number. */
export const timestamp = new Kind('timestamp', 'timestamp');
/** Days since 1970. */
export const date = new Kind('date', 'date');
/** A parsed value. */
export const json = new Kind('json', 'json');
/** The text of a nested value, not parsed. */
export const jsonText = new Kind('jsonText', 'json');

export const optional = (kind) => kind.orNull();

/** In the shape of an accumulator or of state only. */
export const list = (element) => new Kind('list', 'list', { element });

export const partitionKey = new Identity('partitionKey', 'partitionKey', true);
export const eventTime = new Identity('eventTime', 'eventTime', true);
export const arrivalTime = new Identity('arrivalTime', 'arrivalTime', false);
export const position = new Identity('position', 'position', false);
export const payload = new Identity('payload', 'payload', true);
export const operation = new Identity('operation', 'operation', true);

export const OPERATIONS = ['insert', 'update-before', 'update-after', 'delete'];

/** Splits the members of an input or output into fields and identities. */
export function members(declared, what) {
  const fields = [];
  const identities = [];
  for (const [name, kind] of Object.entries(declared)) {
    if (kind instanceof Identity) identities.push({ name, identity: kind });
    else if (kind instanceof Kind && kind.wire !== 'list') fields.push({ name, kind, path: kind.path ?? name });
    else throw new TypeError(`${what}: \`${name}\` is ${describe(kind)}, which is no kind of a field: take text, int64, float64, ...`);
  }
  return { fields, identities };
}

/** A value as an error shows it: short, and with its type. */
export function describe(value) {
  if (value === null) return 'null';
  if (value === undefined) return 'undefined';
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}...` : value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (typeof value === 'object') return `an object (${value.constructor?.name ?? 'no class'})`;
  if (typeof value === 'function') return `a function (${value.name})`;
  return String(value);
}
