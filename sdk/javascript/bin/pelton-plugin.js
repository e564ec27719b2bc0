#!/usr/bin/env node
// `pelton-plugin build [FOLDER]`: a component from a package, and `pelton-plugin conformance FOLDER`: those of the conformance suite.
//
// The rule: package.json says what to build: `"main": "app.js"` and `"pelton": { "world": "transformer" }`; the source is bundled into one
// module, TypeScript and dependencies included. `pelton build` does the same.
// Left to others: bundling (esbuild), the engine and the component (componentize-qjs).

import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const SDK = path.dirname(path.dirname(fileURLToPath(import.meta.url)));

const EXPORTS = {
  transformer: ['lifecycle', 'transform'],
  'stateful-transformer': ['lifecycle', 'transform', 'onTimers', 'migrateState'],
  'keyed-transformer': ['lifecycle', 'keyed', 'migrateState'],
  aggregator: ['lifecycle', 'aggregate', 'migrateState'],
  enricher: ['lifecycle', 'enrich'],
};

class Mistake extends Error {}

/** What a conformance plugin's component begins with; in a project that is a file of its own, `app.js`. */
function entryOf(world, main) {
  const component = path.join(SDK, 'src', 'component', world === 'stateful-transformer' ? 'state.js' : 'index.js');
  return [`import ${JSON.stringify(component)};`, `import plugin from ${JSON.stringify(main)};`, `export const { ${EXPORTS[world].join(', ')} } = plugin;`].join('\n');
}

async function bundle(folder, contents) {
  const { build } = await import('esbuild');
  const { outputFiles } = await build({
    stdin: { contents, resolveDir: folder, sourcefile: 'begin.js' },
    bundle: true,
    format: 'esm',
    platform: 'neutral',
    mainFields: ['module', 'main'],
    target: 'es2023',
    external: ['pelton:plugin/*'],
    write: false,
    logLevel: 'warning',
  });
  return outputFiles[0].text;
}

async function buildComponent(folder, world, contents, output, wit) {
  if (!(world in EXPORTS)) throw new Mistake(`\`${world}\` is no world of a plugin: there are ${Object.keys(EXPORTS).join(', ')}`);
  const source = await bundle(folder, contents);
  await mkdir(path.dirname(output), { recursive: true });
  // Beside the component, so that lines of a stack can be looked up.
  await writeFile(`${output}.js`, source);
  const { componentize } = await import('componentize-qjs');
  const { component } = await componentize({ witPath: wit, jsSource: source, world, sync: true, stubWasi: true });
  await writeFile(output, component);
  console.log(`${path.relative(process.cwd(), output)}: ${world}, ${component.length} bytes`);
}

/** The interface: beside the SDK in a project, two folders up in the repository. */
async function witOf({ wit }) {
  if (wit !== undefined) return wit;
  for (const place of ['../wit', '../../wit']) {
    const folder = path.resolve(SDK, place);
    if (await access(path.join(folder, 'world.wit')).then(() => true, () => false)) return folder;
  }
  throw new Mistake('the interface (wit/world.wit) is not beside the SDK: say where it is with --wit');
}

async function buildPackage(folder, options) {
  const file = path.join(folder, 'package.json');
  const text = await readFile(file, 'utf8').catch(() => {
    throw new Mistake(`there is no ${file}: run this in the folder of a plugin, or name it`);
  });
  const { name, main = 'app.js', pelton } = JSON.parse(text);
  if (pelton?.world === undefined) throw new Mistake(`${file} does not say what this plugin is: add "pelton": { "world": "transformer" }`);
  const output = options.output ?? path.join(folder, `${name.replace(/^.*\//, '')}.wasm`);
  const begin = JSON.stringify(path.resolve(folder, main));
  await buildComponent(folder, pelton.world, `export * from ${begin};`, path.resolve(output), await witOf(options));
}

async function buildConformance(target, options) {
  if (target === undefined) throw new Mistake('where to? say `conformance FOLDER`');
  const folder = path.join(SDK, 'conformance');
  for (const file of (await readdir(folder)).filter((name) => name.endsWith('.js'))) {
    const world = file.slice(0, -3);
    const contents = entryOf(world, path.join(folder, file));
    await buildComponent(folder, world, contents, path.resolve(target, `${world}.wasm`), await witOf(options));
  }
}

const USAGE = 'pelton-plugin build [FOLDER] [--output FILE] [--wit FOLDER]\npelton-plugin conformance FOLDER [--wit FOLDER]';

function parse(words) {
  const options = {};
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
