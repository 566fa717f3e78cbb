/**
 * Programs of the tests that run as processes of their own, inside a namespace: TypeScript like the rest, beside this
 * file. Node.js does not run TypeScript, so each is translated once, into a cache, where `src/` means the built `dist/`.
 */
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CACHE = `${ROOT}node_modules/.cache/gigatun-test`;

/** Path of the translated program `test/support/NAME.ts`, ready for `node`, as is what it imports from beside it. */
export function programPath(name: string): string {
  prepareCache();
  const source = `${ROOT}test/support/${name}.ts`;
  const target = `${CACHE}/test/support/${name}.js`;
  if (!existsSync(target) || statSync(target).mtimeMs < statSync(source).mtimeMs) translate(source, target);
  for (const [, imported = ''] of readFileSync(source, 'utf8').matchAll(/ from '\.\/([\w-]+)\.ts'/g))
    programPath(imported);
  return target;
}

function prepareCache(): void {
  mkdirSync(`${CACHE}/test/support`, { recursive: true });
  if (!existsSync(`${CACHE}/package.json`)) writeFileSync(`${CACHE}/package.json`, '{ "type": "module" }\n');
  linkSources(`${CACHE}/src`);
}

/** A checkout that was copied brings the link of the one that it was copied from. */
function linkSources(link: string): void {
  if (existsSync(link) && readlinkSync(link) === `${ROOT}dist`) return;
  rmSync(link, { force: true });
  symlinkSync(`${ROOT}dist`, link);
}

/** Appears whole or not at all: test files may want the same program at the same time. */
function translate(source: string, target: string): void {
  const { outputText } = ts.transpileModule(readFileSync(source, 'utf8'), {
    compilerOptions: {
      target: ts.ScriptTarget.ES2022,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
      rewriteRelativeImportExtensions: true,
    },
  });
  const partial = `${target}.${process.pid}`;
  writeFileSync(partial, outputText);
  renameSync(partial, target);
}
