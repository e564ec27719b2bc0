// Cases as folders: `cases/NAME/` with `config.json` (or none), `input.jsonl`, and `expected.jsonl` or `error.txt`; an enricher also has
// `answers.json`, from `GET /path` to `{ "status": 200, "body": ... }`.
//
// The rule: each folder is a test of its own under `node --test`. Left to others: running (`index.js`).

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { run } from './index.js';

/** Makes a test of every folder in `folder` (a path, or `new URL('cases/', import.meta.url)`). */
export function check(folder, plugin) {
  const root = folder instanceof URL ? fileURLToPath(folder) : folder;
  const names = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  if (names.length === 0) throw new Error(`${root} holds no case: add a folder with input.jsonl and expected.jsonl`);
  for (const name of names.sort()) test(`case ${name}`, () => checkCase(path.join(root, name), plugin));
}

function checkCase(folder, plugin) {
  const read = (name) => (existsSync(path.join(folder, name)) ? readFileSync(path.join(folder, name), 'utf8') : null);
  const answers = JSON.parse(read('answers.json') ?? '{}');
  const answer = ({ method, path: at }) => answers[`${method} ${at}`] ?? { failed: `answers.json has no ${method} ${at}` };
  const given = { config: read('config.json') ?? '', rows: lines(read('input.jsonl') ?? '', path.join(folder, 'input.jsonl')), answer };
  const error = read('error.txt');
  if (error !== null) {
    assert.throws(() => run(plugin, given), (thrown) => thrown.message.includes(error.trim()));
    return;
  }
  assert.deepEqual(run(plugin, given), lines(read('expected.jsonl') ?? '', path.join(folder, 'expected.jsonl')));
}

function lines(text, file) {
  return text.split('\n').flatMap((line, index) => {
    if (line.trim() === '') return [];
    try {
      return [JSON.parse(line)];
    } catch (error) {
      throw new Error(`${file}:${index + 1}: ${error.message}`);
    }
  });
}
