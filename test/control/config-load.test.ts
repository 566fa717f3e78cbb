/** Finding and reading a configuration file, and naming the interface after it. */
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, chownSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { interfaceNameOf, loadConfig } from '../../src/control/config-load.ts';
import { formatKey, generatePrivateKey } from '../../src/control/key-text.ts';
import { temporaryDirectory } from './support/fakes.ts';

const TEXT = `[Interface]\nPrivateKey = ${formatKey(generatePrivateKey())}\n`;

function written(directory: string, name: string, mode = 0o600, text = TEXT): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  chmodSync(path, mode);
  return path;
}

describe('a name', () => {
  it('is looked for in the directories, in order', () => {
    const [first, second] = [temporaryDirectory(), temporaryDirectory()];
    const path = written(second, 'wg0.conf');
    expect(loadConfig('wg0', [first, second])).toMatchObject({ name: 'wg0', path, warnings: [] });
    const nearer = written(first, 'wg0.conf');
    expect(loadConfig('wg0', [first, second])).toMatchObject({ path: nearer });
  });

  it('that is nowhere is not found, and the error says where it was sought', () => {
    expect(() => loadConfig('wg0', ['/nowhere/a', '/nowhere/b'])).toThrow(
      expect.objectContaining({
        code: 'NOT_FOUND',
        message: expect.stringContaining('/nowhere/a/wg0.conf or /nowhere/b/wg0.conf'),
      }),
    );
  });
});

describe('a path', () => {
  it('names the interface', () => {
    const path = written(temporaryDirectory(), 'my=tun+0.conf');
    expect(loadConfig(path)).toMatchObject({ name: 'my=tun+0', path, config: { listenPort: 0 } });
  });

  it.each([
    ['missing.conf', 'NOT_FOUND'],
    ['file/below.conf', 'NOT_FOUND'],
    ['dir.conf', 'CONFIG'],
    ['too-long-a-name-it-is.conf', 'CONFIG'],
    ['no-extension', 'CONFIG'],
    ['..conf', 'CONFIG'],
  ])('%s is refused with %s', (name, code) => {
    const directory = temporaryDirectory();
    for (const file of ['file', 'too-long-a-name-it-is.conf', 'no-extension', '..conf']) written(directory, file);
    mkdirSync(join(directory, 'dir.conf'));
    expect(() => loadConfig(join(directory, name))).toThrow(expect.objectContaining({ code }));
  });

  it('of a FIFO is refused, as the background form could not read it again', () => {
    const path = join(temporaryDirectory(), 'wg0.conf');
    execFileSync('mkfifo', ['-m', '600', path]);
    const writer = spawn('sh', ['-c', 'printf %s "$0" > "$1"', TEXT, path]);
    onTestFinished(() => {
      writer.kill('SIGKILL');
    });
    expect(() => loadConfig(path)).toThrow(
      expect.objectContaining({ code: 'CONFIG', message: expect.stringContaining('a regular file, got') }),
    );
  });

  it('stands before each problem of the file as it was typed', () => {
    const path = written(temporaryDirectory(), 'wg0.conf', 0o600, '[Interface]\nMTU = x\n');
    expect(() => loadConfig(path)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(`${path}:2:7: `) }),
    );
  });

  it.each([
    [0o600, 0],
    [0o640, 0],
    [0o644, 1],
    [0o620, 1],
    [0o666, 2],
  ])('with mode %o brings %i warnings', (mode, count) => {
    const path = written(temporaryDirectory(), 'wg0.conf', mode);
    expect(loadConfig(path).warnings).toHaveLength(count);
  });

  it('that its own group may read brings none, that another group may read brings one', (context) => {
    const path = written(temporaryDirectory(), 'wg0.conf', 0o640);
    expect(loadConfig(path).warnings).toEqual([]);
    if (process.geteuid?.() !== 0) context.skip('only root may give files away');
    chownSync(path, 0, 54_321);
    expect(loadConfig(path).warnings).toEqual([expect.stringContaining('group 54321 may read the private key')]);
  });

  it('in a directory that others may write to could be replaced', () => {
    const directory = temporaryDirectory();
    const path = written(directory, 'wg0.conf');
    chmodSync(directory, 0o777);
    expect(loadConfig(path).warnings).toEqual([expect.stringContaining('others may replace this file')]);
    chmodSync(directory, 0o1777);
    expect(loadConfig(path).warnings).toEqual([]);
  });

  it('of another user, or in the directory of one, is theirs to change', (context) => {
    if (process.geteuid?.() !== 0) context.skip('only root may give files away');
    const directory = temporaryDirectory();
    const path = written(directory, 'wg0.conf');
    chownSync(directory, 54_321, 0);
    expect(loadConfig(path).warnings).toEqual([expect.stringContaining(`user 54321 owns ${directory}`)]);
    chownSync(path, 54_321, 0);
    expect(loadConfig(path).warnings).toHaveLength(2);
  });
});

describe('the interface of an argument', () => {
  it.each([
    ['wg0', 'wg0'],
    ['./wg0.conf', 'wg0'],
    ['wg0.conf', 'wg0'],
    ['/etc/wireguard/a.b.conf', 'a.b'],
  ])('%s is %s', (argument, name) => expect(interfaceNameOf(argument)).toBe(name));

  it.each(['', 'a b', 'x'.repeat(16), '/tmp/', './wg0', '.conf', '../.conf'])('%j has none', (argument) =>
    expect(() => interfaceNameOf(argument)).toThrow(expect.objectContaining({ code: 'CONFIG' })),
  );
});
