/** The habits of the house as one test: what may import what, how files are named, how long they are, what they never hold. */
import { describe, expect, it } from 'vitest';
import { ACTIVITIES, COUNTERS } from '../src/ledger/catalog.ts';
import { DROP_REASONS } from '../src/packet/drop-reason.ts';
import { type ProjectFile, projectFile, projectFiles, readProjectFile } from './support/project-files.ts';
import {
  codeLines,
  importRules,
  journeyFirst,
  kebabCase,
  noAny,
  noDefaultExport,
  noEnumNorNamespace,
  noMachinePath,
  noSkippedTest,
  nothingUnfinished,
  type Rule,
  shortFiles,
  snakeCase,
  unused,
} from './support/tidy-rules.ts';

const NATIVE_LINES_MAX = 3000;
const NATIVE_VERBS_MAX = 20;

const all = projectFiles();
const below = (folder: RegExp, end: RegExp): ProjectFile[] =>
  all.filter(({ path }) => folder.test(path) && end.test(path));
const source = below(/^src\//, /\.ts$/);
const script = below(/^(src|test|bench|scripts)\//, /\.(ts|mjs|js)$/);
const c = below(/^(native|bench)\//, /\.[ch]$/);

/** Rule, the files it holds for, and one planted file that breaks it. */
const RULES: readonly [string, Rule, readonly ProjectFile[], ProjectFile][] = [
  [
    'imports keep to the layers',
    importRules,
    source,
    planted('src/outbound/x.ts', "import { a } from '../inbound/y.ts';"),
  ],
  ['the protocol is pure', importRules, source, planted('src/protocol/x.ts', "import { a } from 'node:net';")],
  [
    'a type import is an import',
    importRules,
    source,
    planted('src/ledger/x.ts', "import type { A } from '../lane.ts';"),
  ],
  ['the UAPI is given its device', importRules, source, planted('src/uapi/x.ts', "import { a } from '../device.ts';")],
  ['only src/native/ loads the addon', importRules, source, planted('src/lane.ts', "await import('node-gyp-build');")],
  ['script files are named in kebab-case', kebabCase, script, planted('src/packet/ipHeader.ts', '')],
  ['C files are named in snake_case', snakeCase, c, planted('native/core/ip-header.c', '')],
  [
    'no file is over 500 lines',
    shortFiles,
    [...script, ...c, ...below(/^native\//, /./)],
    planted('src/x.ts', '\n'.repeat(501)),
  ],
  ['a source file opens with its journey', journeyFirst, source, planted('src/x.ts', "import { a } from './a.ts';")],
  ['nothing is exported by default', noDefaultExport, script, planted('src/x.ts', 'export default 1;')],
  ['nothing is of type any', noAny, script, planted('src/x.ts', 'const a: string[] | any = 1;')],
  ['there are no enums and no namespaces', noEnumNorNamespace, script, planted('src/x.ts', 'enum A { B }')],
  ['nothing is left unfinished', nothingUnfinished, all, planted('src/x.ts', `// ${'TO' + 'DO'}: later`)],
  [
    'no test is skipped or runs alone',
    noSkippedTest,
    script,
    planted('test/x.test.ts', "describe('a', () => it.only('b'))"),
  ],
  ['no path of one machine is named', noMachinePath, all, planted('docs/x.md', `see \`/${'wo' + 'rk'}/x\``)],
];

describe('tidy', () => {
  it('finds the files', () => {
    expect(source.length).toBeGreaterThan(20);
    expect(c.length).toBeGreaterThan(10);
    expect(all.map(({ path }) => path)).toContain('README.md');
  });

  it.each(RULES)('%s', (_, rule, files, broken) => {
    expect(rule(files)).toEqual([]);
    expect(rule([broken])).toHaveLength(1);
  });
});

describe('the catalogs', () => {
  const users = source.filter(({ path }) => !/\/(catalog|drop-reason)\.ts$/.test(path));

  it('have no drop reason that nothing counts', () => {
    const names = DROP_REASONS.map(({ name }) => name);
    expect(unused(names, users)).toEqual([]);
    expect(unused([...names, 'IN_NOBODY_COUNTS'], users)).toEqual(['IN_NOBODY_COUNTS']);
  });

  it('have no counter that nothing counts', () => {
    expect(
      unused(
        COUNTERS.map(({ name }) => name),
        users,
      ),
    ).toEqual([]);
  });

  it('have no activity that neither a stage nor a native verb is in', () => {
    const native = c.map(({ text }) => text).join('\n');
    const stages = unused(
      ACTIVITIES.map(({ name }) => name),
      users,
    );
    expect(stages.filter((name) => !native.includes(`ACTIVITY_${name}`))).toEqual([]);
  });
});

describe('the table of compatibility', () => {
  const HEAD = '| item | how gigatun does it | test | deviation and reason |';
  const lines = (text: string): string[] => text.split('\n').filter((line) => line.startsWith('|'));
  const rows = (text: string): string[] => lines(text).filter((line) => line !== HEAD && !line.startsWith('| ---'));

  /** The title as it stands in quotes in its file; … stands for what a table of cases fills in. */
  const isTitle = (path: string, title: string): boolean => {
    const text = all.find((candidate) => candidate.path === `test/${path}`)?.text ?? '';
    const words = title.split('…').map((part) => part.trim().replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    return new RegExp(`(['"\`])${words.join('[^\\n]*')}\\1`).test(text);
  };
  const namesTests = (row: string): boolean => {
    const [, , tests = '', deviation = '', ...more] = row.slice(2, -2).split(' | ');
    const named = tests.split('<br>').map((test) => /^`([\w/.-]+\.test\.ts)`: (.+)$/.exec(test) ?? ['', '', '']);
    return deviation !== '' && more.length === 0 && named.every(([, path, title]) => isTitle(path, title));
  };
  const untrue = (text: string): string[] => rows(text).filter((row) => !namesTests(row));

  it('has one head, and in each row the titles of tests that are there', () => {
    const { text } = readProjectFile('docs/compatibility.md');
    expect(lines(text).filter((line) => line === HEAD)).toHaveLength(text.match(/^\| -/gm)?.length ?? 0);
    expect(rows(text).length).toBeGreaterThan(150);
    expect(untrue(text)).toEqual([]);
  });

  it.each([
    ['another', '`tidy.test.ts`: finds the files<br>`tidy.test.ts`: finds what is n\u00f6t there', '–'],
    ['half a title', '`tidy.test.ts`: finds the', '–'],
    ['a file alone', '`tidy.test.ts`', '–'],
    ['nothing', '', '–'],
    ['no deviation', '`tidy.test.ts`: finds the files', ''],
  ])('would show a row that names %s', (_, tests, deviation) => {
    const row = `| a | b | ${tests} | ${deviation} |`;
    expect(untrue(`${HEAD}\n| --- | --- | --- | --- |\n${row}\n`)).toEqual([row]);
    expect(untrue('| a | b | `tidy.test.ts`: finds the files | – |')).toEqual([]);
  });
});

describe('native code', () => {
  it('is a device, not a home: 3,000 lines of code at most', () => {
    expect(codeLines([planted('native/core/x.c', '// a\n\nint b; // c\n/* d\n e */\n')])).toBe(1);
    expect(codeLines(below(/^native\/(core|binding)\//, /\.[ch]$/))).toBeLessThanOrEqual(NATIVE_LINES_MAX);
  });

  it('has 20 verbs at most, each of them defined by the binding', () => {
    const face = /interface Addon \{([\s\S]*?)\n\}/.exec(readProjectFile('src/native/types.ts').text)?.[1] ?? '';
    const verbs = [...face.matchAll(/^ {2}(\w+)\(/gm)].flatMap(([, name]) => name ?? []);
    const binding = below(/^native\/binding\//, /\.c$/).map(({ text }) => text);
    expect(verbs.length).toBeLessThanOrEqual(NATIVE_VERBS_MAX);
    expect(verbs.length).toBeGreaterThan(10);
    expect(verbs.filter((name) => !binding.some((text) => text.includes(`"${name}"`)))).toEqual([]);
  });
});

describe('dependencies', () => {
  const manifest = JSON.parse(readProjectFile('package.json').text);
  const dependencies: [string, string][] = Object.entries({ ...manifest.dependencies, ...manifest.devDependencies });

  it('are pinned exactly', () => {
    expect(dependencies.length).toBeGreaterThan(4);
    expect(dependencies.filter(([, version]) => !/^\d+\.\d+\.\d+$/.test(version))).toEqual([]);
  });

  it('each have their reason in ARCHITECTURE.md', () => {
    const reasons = readProjectFile('ARCHITECTURE.md').text;
    expect(dependencies.map(([name]) => name).filter((name) => !reasons.includes(`**${name}**`))).toEqual([]);
  });
});

function planted(path: string, text: string): ProjectFile {
  return projectFile(path, text);
}
