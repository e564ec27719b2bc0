// Readings of at least some value.

import { float64, text, transformer } from '@pelton/sdk';

export default transformer({
  name: 'filter',
  config: { at_least: { type: 'number', default: 0, description: 'readings below it are dropped' } },
  input: { device: text, value: float64 },
  output: { device: text, value: float64 },

  process(reading, out, config) {
    const { value } = reading;
    if (value >= config.at_least) out.emit(reading, { device: reading.device, value });
  },
});
