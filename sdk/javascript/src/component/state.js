// The host of a component with state: of the world stateful-transformer.
//
// The rule: as in `index.js`. Left to others: tables (`state.js` beside this folder).

import * as log from 'pelton:plugin/log@0.1.0';
import * as metrics from 'pelton:plugin/metrics@0.1.0';
import * as state from 'pelton:plugin/state@0.1.0';
import { connect, replaceClock } from '../host.js';

connect({ log, metrics, state });
replaceClock();
