// What a plugin may call in its host: log lines, figures, state. Also the clock of the call.
//
// The rule: the plugin's source names no import of the host, so that it runs in Node as it is; `connect` is called by the entry that the
// build writes, and by tests.
// Left to others: tables and keys (`state.js`).

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];

/** Outside of WebAssembly: lines go to stderr, figures nowhere. */
const NOWHERE = {
  log: { enabled: () => 'info', write: (level, message, fields) => console.error(`${level}: ${message} ${fields}`.trimEnd()) },
  metrics: { counterAdd() {}, gaugeSet() {}, histogramRecord() {} },
  state: null,
};

/** `inside`: whether there is a host around, or only a test. */
export const host = { ...NOWHERE, inside: false, nowMs: 0 };

// componentize-qjs has numbers for 64-bit integers, StarlingMonkey has BigInts.
export const engine = { wide: typeof globalThis.__cqjs === 'undefined' && typeof globalThis.process === 'undefined' };

/** Puts the host's functions in place. */
export function connect(functions) {
  Object.assign(host, NOWHERE, functions, { inside: functions.log !== undefined });
}

/** A u64 or s64 as the engine passes it. */
export const wide = (value) => (engine.wide ? BigInt(value) : Number(value));

function write(level, message, fields) {
  host.log.write(level, String(message), fields === undefined ? '' : JSON.stringify(fields));
}

/** Lines of the host's log, with job and step. Each crosses the boundary: once a batch, not once a record. */
export const log = {
  enabled: (level) => LEVELS.indexOf(level) >= LEVELS.indexOf(host.log.enabled()),
  trace: (message, fields) => write('trace', message, fields),
  debug: (message, fields) => write('debug', message, fields),
  info: (message, fields) => write('info', message, fields),
  warn: (message, fields) => write('warn', message, fields),
  error: (message, fields) => write('error', message, fields),
};

/** Figures beside the host's own. Each call crosses the boundary: once a batch, not once a record. */
export const metrics = {
  counter: (name, delta = 1) => host.metrics.counterAdd(name, wide(delta)),
  gauge: (name, value) => host.metrics.gaugeSet(name, value),
  histogram: (name, values) => host.metrics.histogramRecord(name, values),
};

/** A component has no clock but the batch's; the engine's own would trap. Called by the built entry alone. */
export function replaceClock() {
  const Engine = globalThis.Date;
  globalThis.Date = class Date extends Engine {
    constructor(...parts) {
      if (parts.length === 0) super(host.nowMs);
      else super(...parts);
    }
    static now() {
      return host.nowMs;
    }
  };
  globalThis.performance = { now: () => 0 };
  globalThis.console = {
    log: (...words) => log.info(words.join(' ')),
    info: (...words) => log.info(words.join(' ')),
    debug: (...words) => log.debug(words.join(' ')),
    warn: (...words) => log.warn(words.join(' ')),
    error: (...words) => log.error(words.join(' ')),
  };
}
