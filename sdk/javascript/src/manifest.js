// What a plugin says of itself, as the host wants to read it.
//
// The rule: every part of a definition may be a function of the config; the manifest is the same again for the same config.
// Left to others: the parts themselves.

import { parseConfig, schemaOf } from './config.js';
import { engine } from './host.js';
import { outputsOf } from './out.js';
import { rowClass } from './rows.js';

const FLAGS = { partitionKey: false, eventTime: false, arrivalTime: false, position: false, payload: false, operation: false };

/** A definition under one config: inputs, outputs, key and tables in the order of the manifest. */
export function resolve(definition, configText) {
  const schema = schemaOf(definition.config);
  const config = parseConfig(configText, schema);
  const part = (value) => (typeof value === 'function' ? value(config) : value);
  const what = `plugin \`${definition.name}\``;
  const inputs = Object.entries(part(definition.inputs) ?? { in: part(definition.input) ?? {} });
  const outputs = part(definition.outputs) ?? { out: part(definition.output) ?? {} };
  return {
    definition,
    config,
    schema,
    inputs: inputs.map(([name, declared]) => ({ name, ...rowClass(declared, `input \`${name}\` of ${what}`) })),
    outputs: outputsOf(outputs, what),
    key: rowClass(part(definition.key) ?? {}, `the key of ${what}`),
    tables: Object.entries(part(definition.tables) ?? {}),
    connectors: Object.entries(part(definition.connectors) ?? {}),
  };
}

const field = ({ path, kind }) => ({ path, kind: kind.wire, optional: kind.nullable, doc: kind.doc });

function flags(identities) {
  const set = { ...FLAGS };
  for (const { identity } of identities) set[identity.flag] = true;
  return set;
}

/** `tables` are those of the world; the other parts are the definition's. */
export function manifestOf({ definition, schema, inputs, outputs, key, connectors }, tables) {
  return {
    name: definition.name,
    version: definition.version ?? '0.1.0',
    doc: definition.doc ?? '',
    configSchema: schema === undefined ? '' : JSON.stringify(schema),
    inputs: inputs.map(({ name, fields, identities }) => ({ name, identity: flags(identities), fields: fields.map(field), doc: '' })),
    outputs: outputs.plans.map(({ name, fields, identities }) => ({ name, fields: fields.map(field), sets: flags(identities), doc: '' })),
    key: key.fields.map(field),
    tables,
    connectors: connectors.map(([name, doc]) => ({ name, doc: String(doc ?? '') })),
    annotations: [],
  };
}

/** A table of the manifest. */
export function tableOf(name, { prefetch = true, schemaVersion = 1, migratesFrom = [], ttlMs = null }) {
  return { name, prefetch, schema: '', schemaVersion, migratesFrom, ttlMs: ttlMs === null || !engine.wide ? ttlMs : BigInt(ttlMs) };
}
