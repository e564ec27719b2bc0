// Enrichers: say what to ask, let the host ask, make rows of the answers.
//
// The rule: `prepare` sees each record once, `complete` sees it with all answers of a round, also when nothing was asked; asking again in
// `complete` makes another round. Addresses and credentials are the host's.
// Left to others: what becomes of rows (`out.js`).

import { instanceOf } from '../calls.js';
import { callOf } from '../rows.js';
import { bytes, decode, encode } from '../text.js';
import { refusing } from './stateful.js';

export function enricher(definition) {
  for (const part of ['prepare', 'complete']) if (definition[part] === undefined) throw new TypeError(`enricher \`${definition.name}\` has no \`${part}\``);
  if (definition.tables !== undefined) throw new TypeError(`enricher \`${definition.name}\` has \`tables\`: an enricher keeps no state, take a stateful plugin behind it`);
  const { lifecycle, run } = instanceOf(definition, () => ({}), () => []);
  return {
    world: 'enricher',
    lifecycle,
    enrich: {
      prepare: (batch) => run(batch.nowMs, (instance) => prepare(instance, batch)),
      complete: (batch, responses) => run(batch.nowMs, (instance) => complete(instance, batch, responses)),
    },
  };
}

/** Requests of the current row. */
class Ask {
  constructor(connectors) {
    this.connectors = connectors;
    this.row = 0;
    this.requests = [];
  }

  get(connector, path, options) {
    this.request(connector, 'GET', path, options);
  }

  post(connector, path, options) {
    this.request(connector, 'POST', path, options);
  }

  /** `body`: text, bytes, or a value that becomes JSON. `cookie`: text that comes back with the answer. */
  request(connector, method, path, { headers = {}, body, cookie = '' } = {}) {
    if (!this.connectors.has(connector)) throw new TypeError(`there is no connector \`${connector}\`; declared: ${[...this.connectors].join(', ')}`);
    const named = Object.entries(headers).map(([name, value]) => ({ name, value: String(value) }));
    const isJson = body !== undefined && typeof body !== 'string' && !(body instanceof Uint8Array);
    if (isJson && !named.some(({ name }) => name.toLowerCase() === 'content-type')) named.push({ name: 'content-type', value: 'application/json' });
    this.requests.push({ row: this.row, cookie: encode(cookie), connector, method, path, headers: named, body: bodyOf(body) });
  }
}

function bodyOf(body) {
  if (body === undefined) return new Uint8Array(0);
  if (body instanceof Uint8Array) return body;
  return encode(typeof body === 'string' ? body : JSON.stringify(body));
}

/** What came of a request: `status` where it was answered, else `failed` with words or `timedOut`. */
class Answer {
  constructor({ cookie, outcome }) {
    const { tag, val } = outcome;
    this.cookie = decode(bytes(cookie));
    this.status = tag === 'answered' ? val.status : null;
    this.headers = tag === 'answered' ? val.headers : [];
    this.body = tag === 'answered' ? bytes(val.body) : new Uint8Array(0);
    this.failed = tag === 'failed' ? val : null;
    this.timedOut = tag === 'timed-out';
  }

  header(name) {
    return this.headers.find((header) => header.name.toLowerCase() === name.toLowerCase())?.value ?? null;
  }

  text() {
    return decode(this.body);
  }

  json() {
    return JSON.parse(this.text());
  }
}

function begin({ parts }, batch) {
  const out = parts.outputs.fresh();
  const input = parts.inputs[batch.input];
  const row = new input.Row(batch, callOf(batch), input.name);
  row._out = out;
  const ask = new Ask(new Set(parts.connectors.map(([name]) => name)));
  const move = (index) => {
    row.index = ask.row = index;
  };
  return { out, row, ask, move };
}

function prepare(instance, batch) {
  const { row, ask, move } = begin(instance, batch);
  for (let index = 0; index < batch.count; index++) {
    move(index);
    instance.parts.definition.prepare(row, ask, instance.self);
  }
  return ask.requests;
}

function complete(instance, batch, responses) {
  const { out, row, ask, move } = begin(instance, batch);
  const answers = Array.from({ length: batch.count }, () => []);
  for (const response of responses) answers[response.row].push(new Answer(response));
  for (let index = 0; index < batch.count; index++) {
    move(index);
    const asked = ask.requests.length;
    refusing(out, row, index, () => {
      try {
        instance.parts.definition.complete(row, answers[index], out, ask, instance.self);
      } catch (error) {
        ask.requests.length = asked;
        throw error;
      }
    });
  }
  return { processed: out.finish(), further: ask.requests };
}
