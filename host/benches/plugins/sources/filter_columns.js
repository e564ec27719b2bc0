// Readings of at least some value, by columns.

import { float64, text, transformer } from '@pelton/sdk';

export default transformer({
  name: 'filter',
  config: { at_least: { type: 'number', default: 0, description: 'readings below it are dropped' } },
  input: { device: text, value: float64 },
  output: { device: text, value: float64 },

  batch(readings, out, config) {
    const { device, value: { values } } = readings.columns;
    const sources = [], devices = [], kept = [];
    for (let row = 0; row < values.length; row++) {
      if (values[row] < config.at_least) continue;
      sources.push(row);
      devices.push(device.get(row));
      kept.push(values[row]);
    }
    out.emitColumns(sources, { device: devices, value: kept });
  },
});
