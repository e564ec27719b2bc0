// Types of `@pelton/sdk/testing`.

import type { Plugin } from './index.js';

export interface Asked {
  readonly connector: string;
  readonly method: string;
  readonly path: string;
  readonly headers: Record<string, string>;
  readonly body: string;
}
export type Told = { status: number; headers?: Record<string, string>; body?: unknown } | { failed: string } | { timedOut: true };

export interface Given {
  config?: unknown;
  rows?: Record<string, unknown>[];
  answer?(request: Asked): Told;
}

/** The results of a plugin over JSON rows; made several ways, which must agree. */
export function run(plugin: Plugin, given?: Given): Record<string, any>[];
/** What a plugin says of itself under a config. */
export function describe(plugin: Plugin, config?: unknown): any;
/** A test of each folder: `config.json`, `input.jsonl`, `expected.jsonl` or `error.txt`, `answers.json`. */
export function check(folder: string | URL, plugin: Plugin): void;
