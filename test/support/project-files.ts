/** The project's own text files, as the tidy test sees them: path from the root, text, and for TypeScript its syntax tree. */
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

export interface ProjectFile {
  /** From the repository's root, with slashes. */
  readonly path: string;
  readonly text: string;
  /** Lines, the last newline not counted as one more. */
  readonly linesCount: number;
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const NOT_OURS: ReadonlySet<string> = new Set([
  'node_modules',
  'dist',
  'build',
  'prebuilds',
  '.git',
  'results',
  'coverage',
]);
const TEXT =
  /\.(ts|mts|js|mjs|cjs|c|h|md|json|sh|yml|yaml|gyp|gypi|conf|txt|nft|service)$|(^|\/)(run|Makefile|LICENSE)$/;

/** Every text file of the repository but the lock file and what builds and benchmarks leave behind. */
export function projectFiles(): ProjectFile[] {
  return list('').map(readProjectFile);
}

/** One file of the repository. */
export function readProjectFile(path: string): ProjectFile {
  return projectFile(path, readFileSync(`${ROOT}/${path}`, 'utf8'));
}

/** A file that need not exist: to try a rule on. */
export function projectFile(path: string, text: string): ProjectFile {
  return { path, text, linesCount: text.split('\n').length - (text.endsWith('\n') ? 1 : 0) };
}

const nodesOfFile: WeakMap<ProjectFile, readonly ts.Node[]> = new WeakMap();

/** All nodes of a TypeScript file's syntax tree, in the order of the text. Parsed once per file. */
export function syntaxNodes(file: ProjectFile): readonly ts.Node[] {
  const known = nodesOfFile.get(file);
  if (known !== undefined) return known;
  const nodes: ts.Node[] = [];
  const visit = (node: ts.Node): void => {
    nodes.push(node);
    for (const child of node.getChildren()) visit(child);
  };
  visit(ts.createSourceFile(file.path, file.text, ts.ScriptTarget.ES2022, true));
  nodesOfFile.set(file, nodes);
  return nodes;
}

/** What a TypeScript file imports or re-exports, types included: relative paths resolved from the root, others as they stand. */
export function importsOf(file: ProjectFile): string[] {
  const imports: string[] = [];
  for (const node of syntaxNodes(file)) {
    const from = ts.isImportDeclaration(node) || ts.isExportDeclaration(node) ? node.moduleSpecifier : importCall(node);
    if (from !== undefined && ts.isStringLiteral(from)) imports.push(resolveFrom(file.path, from.text));
  }
  return imports;
}

function importCall(node: ts.Node): ts.Expression | undefined {
  const isImport = ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword;
  return isImport ? node.arguments[0] : undefined;
}

function resolveFrom(path: string, specifier: string): string {
  return specifier.startsWith('.') ? new URL(specifier, `file:///${path}`).pathname.slice(1) : specifier;
}

function list(folder: string): string[] {
  return readdirSync(ROOT + folder, { withFileTypes: true }).flatMap((entry) => {
    const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
    if (entry.isDirectory()) return NOT_OURS.has(entry.name) ? [] : list(path);
    return entry.isFile() && TEXT.test(path) && entry.name !== 'package-lock.json' ? [path] : [];
  });
}
