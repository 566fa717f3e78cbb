/** The program itself, where it needs no device: keys, help, mistakes, and the exit code of each. */
import { spawnSync } from 'node:child_process';
import { existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { EXIT_MEANINGS, exitCodeOf } from '../../src/cli/exit-code.ts';
import { INTERFACE_KEYS, INTERFACE_SETTINGS, PEER_KEYS, PEER_SETTINGS } from '../../src/control/config-keys.ts';
import { formatKey, parseKey, publicKeyOf } from '../../src/control/key-text.ts';
import { type ErrorCode, GigatunError } from '../../src/errors.ts';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { temporaryDirectory } from '../control/support/fakes.ts';

interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function gigatun(args: readonly string[], input = ''): Outcome {
  const env = { ...process.env, GIGATUN_RUN_DIR: temporaryDirectory() };
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], { input, env, encoding: 'utf8' });
  return { status, stdout, stderr };
}

const built = existsSync(CLI);
function suite(title: string, body: () => void): void {
  const reason = built ? '' : ', skipped because dist/ is not built (npm run build)';
  describe.skipIf(!built)(`${title}${reason}`, body);
}

suite('keys', () => {
  it('fit together', () => {
    const privateKey = gigatun(['genkey']).stdout;
    const key = parseKey(privateKey.trim());
    expect(key).not.toBeNull();
    const { status, stdout } = gigatun(['pubkey'], privateKey);
    expect(status).toBe(0);
    expect(stdout).toBe(`${formatKey(publicKeyOf(key ?? new Uint8Array(32)))}\n`);
    expect(parseKey(gigatun(['genpsk']).stdout.trim())).toHaveLength(32);
  });

  it.each(['', 'abc\n', 'x'.repeat(44), 'x'.repeat(100_000)])('of %.10j are refused, without being shown', (input) => {
    const { status, stdout, stderr } = gigatun(['pubkey'], input);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toMatch(/^gigatun: expected a key of 44 base64 characters on standard input, got \d+ characters/);
    expect(stderr).not.toContain('xxx');
  });

  it('in a file that everybody may read are warned about', () => {
    const file = join(temporaryDirectory(), 'key');
    for (const [mode, warned] of [
      [0o644, true],
      [0o600, false],
    ] as const) {
      rmSync(file, { force: true });
      const { stderr } = spawnSync(process.execPath, [CLI, 'genkey'], {
        stdio: ['ignore', openSync(file, 'w', mode), 'pipe'],
        encoding: 'utf8',
      });
      expect(stderr.includes('everybody may read')).toBe(warned);
      expect(parseKey(readFileSync(file, 'utf8').trim())).not.toBeNull();
    }
  });
});

suite('help', () => {
  it('comes on stderr with exit code 2 when nothing was asked', () => {
    const { status, stdout, stderr } = gigatun([]);
    expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
    expect(stderr).toContain('Usage: gigatun');
  });

  it('shows the short form, every command, every exit code and what systemd sets', () => {
    const { status, stdout } = gigatun(['--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^Usage: gigatun \[options\] \[command\]\n {7}gigatun \[-f\] \[--\] INTERFACE\n/);
    for (const name of ['LOG_LEVEL', 'NOTIFY_SOCKET', 'WG_TUN_FD'])
      expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    for (const name of [
      'up',
      'down',
      'daemon',
      'show',
      'stats',
      'doctor',
      'demo',
      'bench',
      'genkey',
      'genpsk',
      'pubkey',
    ])
      expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, 'm'));
    for (const { code, meaning } of EXIT_MEANINGS) expect(stdout).toContain(`  ${code}  ${meaning}\n`);
  });

  it.each(['up', 'down', 'daemon', 'show', 'stats', 'demo', 'bench', 'genkey', 'genpsk', 'pubkey'])(
    'of %s stands by itself',
    (name) => {
      const { status, stdout } = gigatun([name, '--help']);
      expect(status).toBe(0);
      expect(stdout).toContain(`Usage: gigatun ${name}`);
    },
  );

  it('of the version is one line', () => {
    const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(gigatun(['--version'])).toEqual({ status: 0, stdout: `gigatun ${version}\n`, stderr: '' });
  });
});

suite('a mistake', () => {
  it.each<[string[], number, string]>([
    [['dwn', 'wg0'], 2, 'Did you mean down?'],
    [['up'], 2, "missing required argument 'config'"],
    [['up', 'a', 'b'], 2, 'too many arguments'],
    [['show', '--jsn'], 2, 'Did you mean --json?'],
    [['up', '--lanes', '0', 'x'], 2, 'Expected "auto" or a number of lanes from 1 to 64, got "0"'],
    [['up', '--mtu', 'big', 'x'], 2, 'Expected an MTU from 68 to 65456'],
    [['stats', '--watch', 'wg0'], 2, 'name the interface before --watch'],
    [['demo', '--seconds', '0'], 2, 'Expected a number from 1 to 3600'],
    [['up', 'no-such-name'], 4, '/etc/gigatun/no-such-name.conf or /etc/wireguard/no-such-name.conf'],
    [['up', './no-such-file.conf'], 4, './no-such-file.conf does not exist'],
    [['up', 'a name that is too long'], 2, 'expected an interface name'],
    [['down', 'wg0'], 4, 'no gigatun interface wg0; none runs'],
    [['show', 'wg0'], 4, 'no gigatun interface wg0; none runs'],
    [['stats', 'wg0'], 4, 'no gigatun interface wg0; none runs'],
  ])('%j ends with %i', (args, status, text) => {
    const outcome = gigatun(args);
    expect(outcome).toMatchObject({ status, stdout: '' });
    expect(outcome.stderr).toContain(text);
  });

  it('in a file is told with file, line and column, all of them', () => {
    const file = join(temporaryDirectory(), 'wg0.conf');
    writeFileSync(file, '[Interface]\nMTU = x\nTable = y\n', { mode: 0o600 });
    const { status, stderr } = gigatun(['up', file]);
    expect(status).toBe(2);
    expect(stderr.split('\n').map((line) => line.split(': ')[0])).toEqual([
      `${file}:1:1`,
      `${file}:2:7`,
      `${file}:3:9`,
      '',
    ]);
  });
});

suite('nothing', () => {
  it('is up: show says so and succeeds', () => {
    expect(gigatun(['show'])).toEqual({ status: 0, stdout: '', stderr: 'gigatun: no interface is up\n' });
    expect(gigatun(['show', '--json'])).toEqual({ status: 0, stdout: '[]\n', stderr: '' });
  });
});

describe('exit codes', () => {
  it.each<[ErrorCode, number]>([
    ['CONFIG', 2],
    ['PERMISSION', 3],
    ['NOT_FOUND', 4],
    ['BUSY', 5],
    ['UNSUPPORTED', 6],
    ['SYSTEM', 1],
    ['GONE', 1],
    ['PROTOCOL', 1],
    ['INTERNAL', 1],
  ])('%s is %i', (code, exitCode) => {
    expect(exitCodeOf(new GigatunError(code, ''))).toBe(exitCode);
    expect(EXIT_MEANINGS.map((entry) => entry.code)).toContain(exitCode);
  });

  it('of anything else is 1', () => expect(exitCodeOf('x')).toBe(1));
});

describe('docs/cli.md', () => {
  const text = readFileSync(new URL('../../docs/cli.md', import.meta.url), 'utf8');

  it.each([
    ['[Interface]', INTERFACE_KEYS, INTERFACE_SETTINGS],
    ['[Peer]', PEER_KEYS, PEER_SETTINGS],
  ])(
    'has the keys and settings of %s, each with its meaning, in their order, and no others',
    (heading, keys, settings) => {
      const section = text.split(/^#+ /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
      const rows = section.split('\n').filter((line) => line.startsWith('| `'));
      expect(rows).toEqual([
        ...keys.map(({ name, meaning }) => `| \`${name}\` | ${meaning} |`),
        ...settings.map(({ name, meaning }) => `| \`#gigatun: ${name}\` | ${meaning} |`),
      ]);
    },
  );

  it('has a row for every exit code', () => {
    for (const { code, meaning } of EXIT_MEANINGS) expect(text).toContain(`| ${code} | ${meaning} |`);
  });
});

suite('bench', () => {
  it('has a help of its own', () => {
    const { status, stdout } = gigatun(['bench', '--help']);
    expect(status).toBe(0);
    expect(stdout).toContain('Usage: gigatun bench [options]');
    expect(stdout).toContain('gigatun bench --stages --quick');
  });

  it.each([
    [['--only', 'nothing'], /--only: expected some of veth.*got 'nothing'/],
    [['--stages', '--soak', '1'], /at a time/],
    [['--nonsense'], /nonsense.*--help/],
  ])('%j ends with exit code 2 and says why', (args, message) => {
    const { status, stderr } = gigatun(['bench', ...args]);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });

  it('--stages --quick --json prints figures and nothing else on standard output', () => {
    const { status, stdout } = gigatun(['bench', '--stages', '--quick', '--json']);
    expect(status).toBe(0);
    const { report, workloads } = JSON.parse(stdout);
    expect(report).toBe('gigatun bench, stages');
    expect(workloads[0].stages.encrypt.median).toBeGreaterThan(0);
  });
});
