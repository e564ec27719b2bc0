// Around every call of the host: the clock is set, failures are given as the interface says, mistakes are logged before they trap.
//
// The rule: an exception that is neither Reject nor Retry nor Fatal ends the instance, because nobody knows what it left behind; the log
// has its stack before that.
// Left to others: the calls themselves (`worlds/`).

import { Failure } from './failures.js';
import { host, log } from './host.js';
import { manifestOf, resolve } from './manifest.js';

/** `lifecycle` of the interface, and `run` for the calls that need an instance. */
export function instanceOf(definition, prepare, tables) {
  check(definition);
  let instance = null;
  const lifecycle = {
    describe: (config) => refusing(() => {
      const parts = resolve(definition, config);
      return manifestOf(parts, tables(parts));
    }),
    init: (context) => refusing(() => {
      const parts = resolve(definition, context.config);
      const self = definition.start ? definition.start(parts.config, contextOf(context)) : parts.config;
      instance = { ...prepare(parts), parts, self };
    }),
  };
  const run = (nowMs, call) => guarded(() => {
    if (instance === null) throw new Failure('fatal', 'the plugin was called before `init`');
    if (nowMs !== undefined) host.nowMs = Number(nowMs);
    return call(instance);
  });
  return { lifecycle, run };
}

function check({ name }) {
  if (typeof name !== 'string' || name === '') throw new TypeError('a plugin has no `name`: give it one, such as name: "sales"');
}

const contextOf = ({ job, step, generation, annotations }) => ({ job, step, generation: Number(generation), annotations });

/** describe, init and migrate fail with words. */
export function refusing(call) {
  try {
    return call();
  } catch (error) {
    throw error instanceof Error ? error.message : String(error);
  }
}

/** The other calls fail with `retry` or `fatal`; anything else traps. */
function guarded(call) {
  try {
    return call();
  } catch (error) {
    if (error instanceof Failure) throw { tag: error.tag, val: error.message };
    // A test shows what was thrown itself.
    if (host.inside) log.error(`${error}`, { stack: String(error?.stack ?? '') });
    throw error instanceof Error ? error : new Error(String(error));
  }
}
