#!/usr/bin/env node
// `pelton-plugin build [FOLDER]`: a component from a package, and `pelton-plugin conformance FOLDER`: those of the conformance suite.
//
// The rule: package.json says what to build: `"pelton": { "world": "transformer", "main": "src/plugin.js" }`; the source is bundled into one
// module (TypeScript and dependencies included), and an entry is written around it that joins it to the host.
// Left to others: bundling (esbuild), the engine and the component (componentize-qjs).

import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SDK = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

const EXPORTS = {
  transformer: ['lifecycle', 'transform'],
  'stateful-transformer': ['lifecycle', 'transform', 'onTimers', 'migrateState'],
  'keyed-transformer': ['lifecycle', 'keyed', 'migrateState'],
  aggregator: ['lifecycle', 'aggregate', 'migrateState'],
  enricher: ['lifecycle', 'enrich', 'migrateState'],
};
const WITH_STATE = ['stateful-transformer', 'enricher'];

class Mistake extends Error {}

/** The module that the component is made of: the host's functions, the plugin, and its exports by name. */
function entryOf(world, main) {
  const host = ['log', 'metrics', ...(WITH_STATE.includes(world) ? ['state'] : [])];
  return [
    ...host.map((name) => `import * as ${name} from 'pelton:plugin/${name}@0.1.0';`),
    `import { connect, replaceClock } from ${JSON.stringify(path.join(SDK, 'src', 'host.js'))};`,
    `import plugin from ${JSON.stringify(main)};`,
    `if (plugin?.world !== ${JSON.stringify(world)}) throw new Error('package.json says that this is a ${world}, its default export is ' + (plugin?.world ?? 'no plugin'));`,
    `connect({ ${host.join(', ')} });`,
    'replaceClock();',
    `export const { ${EXPORTS[world].join(', ')} } = plugin;`,
  ].join('\n');
}

async function bundle(folder, world, main) {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    stdin: { contents: entryOf(world, main), resolveDir: folder, sourcefile: 'entry.js' },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2023',
    external: ['pelton:plugin/*'],
    alias: { '@pelton/sdk': path.join(SDK, 'src', 'index.js') },
    write: false,
    logLevel: 'warning',
  });
  return outputFiles[0].text;
}

async function buildPlugin(folder, world, main, output, wit) {
  if (!(world in EXPORTS)) throw new Mistake(`\`${world}\` is no world of a plugin: there are ${Object.keys(EXPORTS).join(', ')}`);
  const source = await bundle(folder, world, main);
  await mkdir(path.dirname(output), { recursive: true });
  // Beside the component, so that lines of a stack can be looked up.
  await writeFile(output.replace(/\.wasm$/, '.js'), source);
  const { componentize } = await import('componentize-qjs');
  const { component } = await componentize({ witPath: wit, jsSource: source, world, sync: true, stubWasi: true });
  await writeFile(output, component);
  console.log(`${path.relative(process.cwd(), output)}: ${world}, ${component.length} bytes`);
}

async function buildPackage(folder, options) {
  const file = path.join(folder, 'package.json');
  const text = await readFile(file, 'utf8').catch(() => {
    throw new Mistake(`there is no ${file}: run this in the folder of a plugin, or name it`);
  });
  const { name, main = 'src/plugin.js', pelton } = JSON.parse(text);
  if (pelton?.world === undefined) throw new Mistake(`${file} does not say what this plugin is: add "pelton": { "world": "transformer" }`);
  const output = options.output ?? path.join(folder, 'dist', `${name.replace(/^.*\//, '')}.wasm`);
  await buildPlugin(folder, pelton.world, path.resolve(folder, pelton.main ?? main), path.resolve(output), options.wit);
}

async function buildConformance(target, options) {
  if (target === undefined) throw new Mistake('where to? say `conformance FOLDER`');
  const folder = path.join(SDK, 'conformance');
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.js'))) {
    const world = file.slice(0, -3);
    await buildPlugin(folder, world, path.join(folder, file), path.resolve(target, `${world}.wasm`), options.wit);
  }
}

const USAGE = 'pelton-plugin build [FOLDER] [--output FILE] [--wit FOLDER]\npelton-plugin conformance FOLDER [--wit FOLDER]';

function parse(words) {
  const options = { wit: path.resolve(SDK, '..', '..', 'wit') };
  const rest = [];
  while (words.length > 0) {
    const word = words.shift();
    if (!word.startsWith('--')) rest.push(word);
    else if (['--output', '--wit'].includes(word) && words.length > 0) options[word.slice(2)] = words.shift();
    else throw new Mistake(`\`${word}\` is no option here, or has no value\n${USAGE}`);
  }
  return { rest, options };
}

async function main() {
  const { rest: [command, folder], options } = parse(process.argv.slice(2));
  if (command === 'build') return buildPackage(path.resolve(folder ?? '.'), options);
  if (command === 'conformance') return buildConformance(folder, options);
  throw new Mistake(USAGE);
}

main().catch((error) => {
  console.error(error instanceof Mistake ? `pelton-plugin: ${error.message}` : error);
  process.exitCode = error instanceof Mistake ? 78 : 1;
});
