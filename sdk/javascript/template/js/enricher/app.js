// What the component begins with: the host's functions are connected, and the plugin's exports get their names.

import '@pelton/sdk/component';
import plugin from './src/plugin.js';

export const { lifecycle, enrich } = plugin;
