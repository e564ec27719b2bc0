// The folders of `cases/`: each is run in one call, record by record, and with a fresh instance for each record.

import { check } from '@pelton/sdk/testing';
import plugin from '../dist/plugin.js';

check(new URL('../cases/', import.meta.url), plugin);
