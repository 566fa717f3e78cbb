/** Rules of the house: each takes files and returns one line per problem, so that it can be tried on a planted one. */
import ts from 'typescript';
import { importsOf, type ProjectFile, syntaxNodes } from './project-files.ts';

export type Rule = (files: readonly ProjectFile[]) => string[];

const FILE_LINES_MAX = 500;

/** What may be imported where: for files below `of`, imports that match `forbid`, unless they match `allow`. */
interface ImportRule {
  readonly of: RegExp;
  readonly forbid: RegExp;
  readonly allow?: RegExp;
  readonly reason: string;
}

const IMPORT_RULES: readonly ImportRule[] = [
  {
    of: /^src\/protocol\//,
    forbid: /./,
    allow: /^(src\/(protocol|packet)\/|node:crypto$|@noble\/)/,
    reason: 'the protocol is pure: it imports packet/ and cryptography only',
  },
  { of: /^src\/outbound\//, forbid: /^src\/inbound\//, reason: 'the directions never import each other' },
  { of: /^src\/inbound\//, forbid: /^src\/outbound\//, reason: 'the directions never import each other' },
  {
    of: /^src\/(?!native\/)/,
    forbid: /^(node-gyp-build|node:module|module|bindings)$/,
    reason: 'only src/native/ loads the addon',
  },
  {
    of: /^src\/ledger\//,
    forbid: /^src\/(outbound|inbound|history|tables|protocol|control|cli|lab)\/|^src\/(lane|device)/,
    reason: 'the ledger knows nothing of lanes',
  },
  {
    of: /^src\/uapi\//,
    forbid: /^src\//,
    allow: /^src\/(uapi\/|control\/|errors\.ts$)/,
    reason: 'the UAPI is given its device',
  },
  {
    of: /^src\/(?!cli\/)/,
    forbid: /^src\/cli\//,
    reason: 'the command line is the first user of the API, not a part of it',
  },
  { of: /^src\//, forbid: /^(test|bench|scripts)\//, reason: 'the product does not import its tests' },
];

export const importRules: Rule = (files) =>
  files.flatMap((file) => {
    const rules = IMPORT_RULES.filter(({ of }) => of.test(file.path));
    return importsOf(file).flatMap((path) =>
      rules
        .filter(({ forbid, allow }) => forbid.test(path) && allow?.test(path) !== true)
        .map(({ reason }) => `${file.path} imports ${path}: ${reason}`),
    );
  });

export const kebabCase: Rule = (files) =>
  paths(files, ({ path }) => !/^([a-z0-9.-]+\/)*[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*\.(ts|js|mjs|json)$/.test(path));

export const snakeCase: Rule = (files) => paths(files, ({ path }) => !/(^|\/)[a-z0-9]+(_[a-z0-9]+)*\.[ch]$/.test(path));

export const shortFiles: Rule = (files) =>
  files
    .filter(({ linesCount }) => linesCount > FILE_LINES_MAX)
    .map(({ path, linesCount }) => `${path}: ${linesCount} lines, at most ${FILE_LINES_MAX}`);

export const journeyFirst: Rule = (files) => paths(files, ({ text }) => !/^(#!.*\n)?\/\*\*/.test(text));

export const noDefaultExport: Rule = (files) =>
  withNode(files, (node) => node.kind === ts.SyntaxKind.DefaultKeyword && !ts.isDefaultClause(node.parent));

export const noAny: Rule = (files) => withNode(files, (node) => node.kind === ts.SyntaxKind.AnyKeyword);

export const noEnumNorNamespace: Rule = (files) =>
  withNode(files, (node) => ts.isEnumDeclaration(node) || ts.isModuleDeclaration(node));

/** Words that must not be committed, in pieces so that this file may be. */
const UNFINISHED = new RegExp(`\\b(${['TO' + 'DO', 'FIX' + 'ME', 'X' + 'XX'].join('|')})\\b`);
const MACHINE = new RegExp(
  ['wo' + 'rk', 'ro' + 'ot', 'ho' + 'me'].map((name) => `(^|[\\s"'\`(=:])/${name}/`).join('|'),
  'm',
);

export const nothingUnfinished: Rule = (files) => paths(files, ({ text }) => UNFINISHED.test(text));

export const noMachinePath: Rule = (files) => paths(files, ({ text }) => MACHINE.test(text));

/** `.skipIf` and `.runIf` stay: a test that needs root says so and runs where there is root. */
export const noSkippedTest: Rule = (files) =>
  withNode(files, (node) => {
    if (!ts.isPropertyAccessExpression(node) || !/^(skip|only|todo|fails)$/.test(node.name.text)) return false;
    return /^(it|test|describe|suite|bench)\b/.test(node.expression.getText());
  });

/** Every `name` must stand as an identifier in one of the files. */
export function unused(names: readonly string[], files: readonly ProjectFile[]): string[] {
  const used = new Set<string>();
  for (const file of files) for (const node of syntaxNodes(file)) if (ts.isIdentifier(node)) used.add(node.text);
  return names.filter((name) => !used.has(name));
}

/** Lines of C that are neither blank nor comment. */
export function codeLines(files: readonly ProjectFile[]): number {
  const lines = files.flatMap(({ text }) => text.replaceAll(/\/\*[\s\S]*?\*\//g, '').split('\n'));
  return lines.filter((line) => line.replace(/\/\/.*/, '').trim() !== '').length;
}

function paths(files: readonly ProjectFile[], isWrong: (file: ProjectFile) => boolean): string[] {
  return files.filter(isWrong).map(({ path }) => path);
}

function withNode(files: readonly ProjectFile[], isWrong: (node: ts.Node) => boolean): string[] {
  return files.flatMap((file) => {
    const problems: string[] = [];
    for (const node of syntaxNodes(file)) {
      if (isWrong(node)) problems.push(`${file.path}: ${node.parent.getText().split('\n')[0]?.slice(0, 80)}`);
    }
    return problems;
  });
}
