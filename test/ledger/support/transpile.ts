/** TypeScript for worker threads: a source file and all that it imports, with types stripped, in a folder of its own. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import ts from 'typescript';

/**
 * Writes `.mjs` twins of `file` and of the relative imports below `root`.
 *
 * @returns the URL of the twin of `file`
 */
export function transpile(file: string, root: string, outFolder: string, done: Set<string> = new Set()): URL {
  const out = join(outFolder, relative(root, file).replace(/\.ts$/, '.mjs'));
  if (done.has(file)) return pathToFileURL(out);
  done.add(file);
  const options = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022, verbatimModuleSyntax: true };
  const script = ts.transpileModule(readFileSync(file, 'utf8'), { compilerOptions: options }).outputText;
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, script.replaceAll(/(from '\.[^']*)\.ts'/g, "$1.mjs'"));
  for (const [, path] of script.matchAll(/from '(\.[^']*\.ts)'/g)) {
    if (path !== undefined) transpile(join(dirname(file), path), root, outFolder, done);
  }
  return pathToFileURL(out);
}
