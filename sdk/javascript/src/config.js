// The step's `config:`: JSON, held against the JSON Schema that the plugin declares, with the schema's defaults filled in.
//
// The rule: what the host would refuse is refused here in the same way, so that tests and jobs agree. Known are type, properties,
// required, additionalProperties, items, enum, const, bounds of numbers and strings, pattern and default.
// Left to others: what the plugin makes of it.

export function parseConfig(text, schema) {
  const trimmed = text.trim();
  let value = {};
  try {
    if (trimmed !== '') value = JSON.parse(trimmed) ?? {};
  } catch (error) {
    throw new Error(`config is not JSON: ${error.message}`);
  }
  if (schema === undefined) {
    if (Object.keys(value).length > 0) throw new Error(`config: this plugin takes none, and \`${Object.keys(value)[0]}\` was given`);
    return value;
  }
  return filled(value, schema, 'config');
}

const TYPES = {
  object: (value) => typeof value === 'object' && value !== null && !Array.isArray(value),
  array: Array.isArray,
  string: (value) => typeof value === 'string',
  number: (value) => typeof value === 'number',
  integer: Number.isInteger,
  boolean: (value) => typeof value === 'boolean',
  null: (value) => value === null,
};

function filled(value, schema, path) {
  check(value, schema, path);
  if (TYPES.object(value)) return object(value, schema, path);
  if (Array.isArray(value) && schema.items) return value.map((item, index) => filled(item, schema.items, `${path}[${index}]`));
  return value;
}

function check(value, schema, path) {
  const refuse = (words) => {
    throw new Error(`${path}: ${JSON.stringify(value)} ${words}`);
  };
  const types = [schema.type ?? []].flat();
  if (types.length > 0 && !types.some((type) => TYPES[type]?.(value))) refuse(`is no ${types.join(' or ')}`);
  if (schema.enum && !schema.enum.includes(value)) refuse(`is none of ${schema.enum.join(', ')}`);
  if (schema.const !== undefined && schema.const !== value) refuse(`is not ${JSON.stringify(schema.const)}`);
  if (typeof value === 'number') {
    if (value < schema.minimum) refuse(`is less than ${schema.minimum}`);
    if (value > schema.maximum) refuse(`is more than ${schema.maximum}`);
    if (value <= schema.exclusiveMinimum) refuse(`is not more than ${schema.exclusiveMinimum}`);
    if (value >= schema.exclusiveMaximum) refuse(`is not less than ${schema.exclusiveMaximum}`);
  }
  if (typeof value === 'string') {
    if (value.length < schema.minLength) refuse(`is shorter than ${schema.minLength}`);
    if (value.length > schema.maxLength) refuse(`is longer than ${schema.maxLength}`);
    if (schema.pattern && !new RegExp(schema.pattern, 'u').test(value)) refuse(`does not match ${schema.pattern}`);
  }
}

function object(value, schema, path) {
  const known = schema.properties ?? {};
  for (const name of schema.required ?? []) if (!(name in value)) throw new Error(`${path}: \`${name}\` is missing`);
  const result = {};
  for (const [name, member] of Object.entries(value)) {
    if (name in known) result[name] = filled(member, known[name], `${path}.${name}`);
    else if (schema.additionalProperties === false) throw new Error(`${path}: there is no \`${name}\`; there is: ${Object.keys(known).join(', ')}`);
    else result[name] = member;
  }
  for (const [name, member] of Object.entries(known)) if (!(name in result) && member.default !== undefined) result[name] = member.default;
  return result;
}

/** The schema as the manifest has it. A plugin with properties refuses unknown ones, unless it says otherwise. */
export function schemaOf(declared) {
  if (declared === undefined) return undefined;
  const whole = declared.type ? declared : { type: 'object', properties: declared };
  return whole.type === 'object' ? { additionalProperties: false, ...whole } : whole;
}
