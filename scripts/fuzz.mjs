/**
 * `npm run fuzz`: translates test/fuzz and what it uses of the tests, since Node.js does not run TypeScript, into a cache
 * where `src/` means the built `dist/`, and runs the campaign there.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { fileURLToPath, pathToFileURL } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const CACHE = `${ROOT}node_modules/.cache/gigatun-fuzz`;
const OPTIONS = {
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.ESNext,
  verbatimModuleSyntax: true,
  rewriteRelativeImportExtensions: true,
};

for (const folder of ['fuzz', 'reference', 'support']) translate(folder);
writeFileSync(`${CACHE}/package.json`, '{ "type": "module" }\n');
if (!existsSync(`${CACHE}/src`)) symlinkSync(`${ROOT}dist`, `${CACHE}/src`);
await import(pathToFileURL(`${CACHE}/test/fuzz/main.js`).href);

function translate(folder) {
  mkdirSync(`${CACHE}/test/${folder}`, { recursive: true });
  for (const name of readdirSync(`${ROOT}test/${folder}`)) {
    if (!name.endsWith('.ts') || name.endsWith('.test.ts')) continue;
    const source = readFileSync(`${ROOT}test/${folder}/${name}`, 'utf8');
    const { outputText } = ts.transpileModule(source, { compilerOptions: OPTIONS });
    writeFileSync(`${CACHE}/test/${folder}/${name.replace(/\.ts$/, '.js')}`, outputText);
  }
}
