// The host of a component without state: imported for what it does, by the file that a component begins with (`app.js` of a project).
//
// The rule: only what stands in this folder names imports of WebAssembly. Left to others: what is connected (`host.js`).

import * as log from 'pelton:plugin/log@0.1.0';
import * as metrics from 'pelton:plugin/metrics@0.1.0';
import { connect, replaceClock } from '../host.js';

connect({ log, metrics });
replaceClock();
