// What the component begins with: the host's functions are connected, and the plugin's exports get their names.

import '@pelton/sdk/component/state';
import plugin from './src/plugin.js';

export const { lifecycle, transform, onTimers, migrateState } = plugin;
