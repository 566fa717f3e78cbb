/**
 * Prepares a fresh clone for a task, and does nothing, quickly, where that was done before:
 *
 *     node scripts/setup.mjs demo|test|bench
 *
 * System packages (installed when root on Debian, otherwise named), npm packages, the native addon, the TypeScript build.
 * What was built carries a stamp: a hash over the contents of all its sources. Needs nothing but Node.js itself.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { accessSync, constants, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  isInstallCurrent,
  isNodeNewEnough,
  missingNeeds,
  missingWishes,
  NODE_LEAST,
  planPackages,
  TASKS,
} from './setup-plan.mjs';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const SYSTEM_PATHS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];
const INCLUDE_PATHS = [
  '/usr/include',
  '/usr/local/include',
  '/usr/include/x86_64-linux-gnu',
  '/usr/include/aarch64-linux-gnu',
];
const LIBRARY_PATHS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/usr/local/lib'];
const CLANG_PATH = '/usr/lib/clang';
const OUTPUT_LINES = 40;
const ADDON = 'build/Release/gigatun.node';

try {
  setUp(process.argv[2] ?? '');
} catch (error) {
  process.stderr.write(`setup: ${error.message}\n`);
  process.exitCode = 1;
}

function setUp(task) {
  if (!TASKS.includes(task)) throw new Error(`expected one of ${TASKS.join(', ')}, got '${task}'`);
  checkPlatform();
  providePackages(task);
  provideWishes(task);
  provideModules();
  provideAddon();
  provideBuild();
}

function checkPlatform() {
  if (process.platform !== 'linux') throw new Error(`gigatun runs on Linux, this is ${process.platform}`);
  if (isNodeNewEnough(process.version)) return;
  throw new Error(
    `gigatun needs Node.js ${NODE_LEAST.join('.')} or newer, this is ${process.version}: see https://nodejs.org`,
  );
}

function providePackages(task) {
  const missing = missingNeeds(task, process.arch, isPresent);
  const plan = planPackages(missing, { isRoot: process.getuid() === 0, hasAptGet: isPresent('apt-get') });
  if (plan.kind === 'tell') throw new Error(plan.text);
  if (plan.kind === 'nothing') return;
  step(`installing the Debian packages ${plan.packages.join(', ')}`, () => installPackages(plan.packages));
  const still = missingNeeds(task, process.arch, isPresent);
  if (still.length > 0) throw new Error(planPackages(still, { isRoot: false, hasAptGet: true }).text);
}

/** What would make it faster or more complete, where it can be had: without it everything works all the same. */
function provideWishes(task) {
  const missing = missingWishes(task, process.arch, isPresent);
  const plan = planPackages(missing, { isRoot: process.getuid() === 0, hasAptGet: isPresent('apt-get') });
  if (plan.kind !== 'install') return;
  try {
    step(`installing the Debian packages ${plan.packages.join(', ')}, which are not needed`, () =>
      installPackages(plan.packages),
    );
  } catch {
    process.stderr.write('setup: this system does not have them; going on without\n');
  }
}

/** A program in the search path (system directories included, which users often lack) or a header. */
function isPresent(find) {
  if (find.endsWith('.h')) return INCLUDE_PATHS.some((path) => existsSync(join(path, find)));
  if (find.startsWith('libclang_rt.')) return hasClangRuntime(find);
  if (find.includes('.so')) return LIBRARY_PATHS.some((path) => existsSync(join(path, find)));
  const paths = [...(process.env.PATH ?? '').split(delimiter), ...SYSTEM_PATHS];
  return paths.some((path) => isExecutable(join(path, find)));
}

/** A library of clang's own, by the start of its name: clang keeps them in directories named after its version. */
function hasClangRuntime(name) {
  const versions = existsSync(CLANG_PATH) ? readdirSync(CLANG_PATH) : [];
  const folders = versions.map((version) => join(CLANG_PATH, version, 'lib/linux')).filter((path) => existsSync(path));
  return folders.some((path) => readdirSync(path).some((file) => file.startsWith(name)));
}

function isExecutable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Recommended packages stay out: those of wireguard-tools are a kernel. */
function installPackages(packages) {
  const apt = ['apt-get', '-q', '-o', 'DPkg::Lock::Timeout=300'];
  const install = [...apt, 'install', '-y', '--no-install-recommends', ...packages];
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  if (hasPackageLists() && execute(install, env).ok) return;
  mustExecute([...apt, 'update'], env);
  mustExecute(install, env);
}

function hasPackageLists() {
  const lists = '/var/lib/apt/lists';
  return existsSync(lists) && readdirSync(lists).some((name) => name.includes('_Packages'));
}

function provideModules() {
  const lock = readJson('package-lock.json');
  if (isInstallCurrent(lock, readJson('node_modules/.package-lock.json'))) return;
  step('installing npm packages', () => mustExecute(npm('ci', '--no-audit', '--no-fund')));
}

function provideAddon() {
  const sources = [...filesUnder('native'), 'binding.gyp', 'package.json'];
  const hash = hashOf(sources, `${process.version} ${process.arch} ${process.versions.modules}`);
  provide('building the native addon', 'build', ADDON, hash, () =>
    mustExecute(npm('run', 'build:native'), headersInPlace()),
  );
}

function provideBuild() {
  const sources = [...filesUnder('src'), 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json'];
  provide('compiling TypeScript', 'dist', 'dist', hashOf(sources), () => {
    mustExecute(npm('run', 'build:ts'));
    removeOrphans();
  });
}

/** Builds unless `result` exists and the stamp in `directory` says that it came from the same sources. */
function provide(title, directory, result, hash, build) {
  const stamp = join(ROOT, directory, '.setup-stamp');
  if (existsSync(join(ROOT, result)) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash) return;
  rmSync(stamp, { force: true });
  step(title, build);
  writeFileSync(stamp, hash);
}

/** node-gyp fetches Node's headers from the network unless they came with this very Node. */
function headersInPlace() {
  const prefix = dirname(dirname(process.execPath));
  const header = join(prefix, 'include/node/node_version.h');
  if (process.env.npm_config_nodedir !== undefined || !existsSync(header)) return {};
  const text = readFileSync(header, 'utf8');
  const part = (name) => new RegExp(`#define NODE_${name}_VERSION (\\d+)`).exec(text)?.[1];
  const version = `v${part('MAJOR')}.${part('MINOR')}.${part('PATCH')}`;
  return version === process.version ? { npm_config_nodedir: prefix } : {};
}

/** Compiled files whose source is gone. */
function removeOrphans() {
  for (const file of filesUnder('dist')) {
    const source = file.replace(/^dist/, 'src').replace(/(\.d\.ts|\.js\.map|\.js)$/, '.ts');
    if (source.endsWith('.ts') && !existsSync(join(ROOT, source))) rmSync(join(ROOT, file));
  }
}

/** Paths relative to the root, sorted. */
function filesUnder(directory) {
  if (!existsSync(join(ROOT, directory))) return [];
  const entries = readdirSync(join(ROOT, directory), { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(ROOT, join(entry.parentPath ?? entry.path, entry.name)))
    .sort();
}

function hashOf(files, salt = '') {
  const hash = createHash('sha256').update(salt);
  for (const file of files) {
    if (existsSync(join(ROOT, file))) hash.update(`\0${file}\0`).update(readFileSync(join(ROOT, file)));
  }
  return hash.digest('hex');
}

function readJson(file) {
  return existsSync(join(ROOT, file)) ? JSON.parse(readFileSync(join(ROOT, file), 'utf8')) : null;
}

function npm(...args) {
  const script = process.env.npm_execpath;
  return script?.endsWith('.js') ? [process.execPath, script, ...args] : ['npm', ...args];
}

function step(title, action) {
  process.stderr.write(`setup: ${title} …`);
  const startedMs = performance.now();
  try {
    action();
    process.stderr.write(` done, ${((performance.now() - startedMs) / 1_000).toFixed(1)} s\n`);
  } catch (error) {
    process.stderr.write(' failed\n');
    throw error;
  }
}

function mustExecute(command, env = {}) {
  const result = execute(command, env);
  if (!result.ok) throw new Error(`${command.join(' ')} failed:\n${shortened(result.output)}`);
}

/** What went wrong stands at the start of some outputs and at the end of others. */
function shortened(output) {
  const lines = output.trimEnd().split('\n');
  if (lines.length <= OUTPUT_LINES) return lines.join('\n');
  return [...lines.slice(0, OUTPUT_LINES / 2), '…', ...lines.slice(-OUTPUT_LINES / 2)].join('\n');
}

function execute([program, ...args], env = {}) {
  const options = { cwd: ROOT, env: { ...process.env, ...env }, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 };
  const result = spawnSync(program, args, options);
  return {
    ok: result.status === 0,
    output: `${result.stdout ?? ''}${result.stderr ?? ''}${result.error?.message ?? ''}`,
  };
}
