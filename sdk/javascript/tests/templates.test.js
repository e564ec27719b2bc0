// The templates are projects that pass their own cases.
//
// The rule: each is filled in, and run as its author would. Left to others: building components, types.

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { run } from '@pelton/sdk/testing';

const TEMPLATES = fileURLToPath(new URL('../template/', import.meta.url));
// Below the SDK, so that the plugin finds it by its name.
const scratch = mkdtempSync(fileURLToPath(new URL('../.templates-', import.meta.url)));
after(() => rmSync(scratch, { recursive: true }));

async function pluginOf(language, kind) {
  const source = readFileSync(path.join(TEMPLATES, language, kind, 'src', `plugin.${language}`), 'utf8').replaceAll('{{name}}', 'tried');
  const { outputFiles } = await build({ stdin: { contents: source, loader: language }, write: false, format: 'esm' });
  const file = path.join(scratch, `${language}-${kind}.mjs`);
  writeFileSync(file, outputFiles[0].text);
  return (await import(pathToFileURL(file))).default;
}

const lines = (text) => text.split('\n').filter((line) => line !== '').map((line) => JSON.parse(line));

for (const language of ['js', 'ts']) {
  for (const kind of readdirSync(path.join(TEMPLATES, language)).filter((name) => name !== 'common')) {
    test(`${language} ${kind}`, async () => {
      const plugin = await pluginOf(language, kind);
      const folder = path.join(TEMPLATES, language, kind, 'cases', 'first');
      const files = readdirSync(folder);
      const read = (name) => (files.includes(name) ? readFileSync(path.join(folder, name), 'utf8') : '');
      const answers = JSON.parse(read('answers.json') || '{}');
      const found = run(plugin, { config: read('config.json'), rows: lines(read('input.jsonl')), answer: ({ method, path: at }) => answers[`${method} ${at}`] });
      assert.deepEqual(found, lines(read('expected.jsonl')));
      const { pelton, main } = JSON.parse(readFileSync(path.join(TEMPLATES, language, kind, 'package.json'), 'utf8'));
      assert.equal(pelton.world, plugin.world);
      const exported = /export const \{ (.*) \}/.exec(readFileSync(path.join(TEMPLATES, language, kind, main), 'utf8'))[1].split(', ');
      for (const name of exported) assert.ok(plugin[name], `${main} exports ${name}`);
      assert.equal(exported.length, Object.keys(plugin).length - 1);
    });
  }
}
