/** Running programs and hooks: what they get, what their ends mean, and what is said about them. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatCommand, requireCommand, runCommand } from '../../src/control/command.ts';
import { type HookTools, runHooks } from '../../src/control/hooks.ts';
import { formatKey, generatePrivateKey } from '../../src/control/key-text.ts';
import { asGigatunError } from '../../src/control/system-error.ts';
import { GigatunError } from '../../src/errors.ts';
import { fakeRunner, keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';

function toolsOf(): HookTools {
  return { name: 'wg0', log: keptLog().log, signal: new AbortController().signal };
}

describe('a command', () => {
  it('gets its arguments as they are, its input, and the C locale', async () => {
    const script = 'printf "%s|" "$@"; cat; printf "|%s" "$LC_ALL"';
    const args = ['-c', script, 'sh', 'a b', '$(reboot)', '; rm -rf /', ''];
    const result = await runCommand({ program: 'sh', args, input: 'input' });
    expect(result).toEqual({ status: 0, stdout: 'a b|$(reboot)|; rm -rf /||input|C', stderr: '' });
  });

  it('may end before it has read its input', async () => {
    const result = await runCommand({ program: 'sh', args: ['-c', 'exit 3'], input: 'x'.repeat(10_000_000) });
    expect(result.status).toBe(3);
  });

  it.each([
    ['nft', 'install nftables (apt-get install nftables)'],
    ['no-such-program', 'install no-such-program'],
  ])('that is missing is named with its package: %s', async (program, text) => {
    const path = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      const error = await rejectionOf(runCommand({ program, args: [] }));
      expect(error).toMatchObject({ code: 'UNSUPPORTED', message: expect.stringContaining(text) });
    } finally {
      process.env.PATH = path;
    }
  });

  it('that a signal ends is an error', async () => {
    const error = await rejectionOf(runCommand({ program: 'sh', args: ['-c', 'kill -KILL $$'] }));
    expect(error).toMatchObject({ code: 'SYSTEM' });
  });

  it.each([
    ['-6', 'RTNETLINK answers: Permission denied', 'PERMISSION', 'is IPv6 disabled on this machine?'],
    ['-4', 'RTNETLINK answers: Operation not permitted', 'PERMISSION', 'Operation not permitted'],
    ['-4', 'first\n  second\n', 'SYSTEM', 'ip -4 address add "10.0.0.1 24" failed: first; second'],
    ['-4', '', 'SYSTEM', 'failed: status 2'],
  ])('that fails says why: %s %j', async (family, stderr, code, text) => {
    const { run } = fakeRunner(() => ({ status: 2, stderr }));
    const command = { program: 'ip', args: [family, 'address', 'add', '10.0.0.1 24'] };
    expect(await rejectionOf(requireCommand(run, command))).toMatchObject({
      code,
      message: expect.stringContaining(text),
    });
  });

  it('is written so that it can be typed', () => {
    expect(formatCommand({ program: 'ip', args: ['-4', 'a=b/24', '', 'c d', '$x'] })).toBe(
      'ip -4 a=b/24 "" "c d" "$x"',
    );
  });
});

describe('hooks', () => {
  it('run in order, by a shell, with the name of the interface', async () => {
    const record = join(temporaryDirectory(), 'record');
    await runHooks('PostUp', [`echo one %i,%i > ${record}`, `echo two >> ${record}`], toolsOf());
    expect(readFileSync(record, 'utf8')).toBe('one wg0,wg0\ntwo\n');
  });

  it('stop at the first that fails', async () => {
    const record = join(temporaryDirectory(), 'record');
    const error = await rejectionOf(runHooks('PreUp', [`echo a > ${record}; exit 9`, `echo b > ${record}`], toolsOf()));
    expect(error).toMatchObject({ code: 'SYSTEM', message: expect.stringContaining('a PreUp command failed (9)') });
    expect(readFileSync(record, 'utf8')).toBe('a\n');
  });

  it('that a signal ends have failed', async () => {
    const error = await rejectionOf(runHooks('PreUp', ['kill -TERM $$'], toolsOf()));
    expect(error).toMatchObject({ message: expect.stringContaining('signal SIGTERM') });
  });

  it('are ended by the signal with all they have started, even if they will not, and the next ones are left out', async () => {
    const record = join(temporaryDirectory(), 'record');
    const stop = new AbortController();
    const stubborn = `trap "" TERM; (trap - TERM; echo $BASHPID > ${record}; exec sleep 100); exec sleep 100`;
    const running = rejectionOf(
      runHooks('PreUp', [stubborn, `echo b > ${record}`], { ...toolsOf(), signal: stop.signal }),
    );
    await expect.poll(() => existsSync(record) && readFileSync(record, 'utf8')).toMatch(/\n/);
    const pid = Number(readFileSync(record, 'utf8'));
    stop.abort();
    expect(await running).toMatchObject({
      code: 'GONE',
      message: expect.stringContaining('was ended (signal SIGKILL)'),
    });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(await rejectionOf(runHooks('PreUp', ['true'], { ...toolsOf(), signal: stop.signal }))).toMatchObject({
      code: 'GONE',
      message: expect.stringContaining('left out'),
    });
    expect(readFileSync(record, 'utf8')).toBe(`${pid}\n`);
  });

  it('never bring a key into a message', async () => {
    const key = formatKey(generatePrivateKey());
    const { log, lines } = keptLog();
    const error = await rejectionOf(runHooks('PostUp', [`false ${key}`], { ...toolsOf(), log }));
    expect(`${error} ${lines.join()}`).not.toContain(key.slice(0, 20));
  });
});

describe('a system error', () => {
  it.each([
    ['EACCES', 'PERMISSION'],
    ['EADDRINUSE', 'BUSY'],
    ['ENOENT', 'NOT_FOUND'],
    ['EIO', 'SYSTEM'],
    ['toString', 'SYSTEM'],
  ])('%s is %s', (code, expected) => {
    const cause = Object.assign(new Error('words'), { code, errno: -5, syscall: 'open' });
    const error = asGigatunError(cause, 'open x');
    expect(error).toMatchObject({
      code: expected,
      errno: 5,
      syscall: 'open',
      message: 'could not open x: words',
      cause,
    });
  });

  it('that is ours already stays as it is; anything else is wrapped', () => {
    const ours = new GigatunError('BUSY', 'x');
    expect(asGigatunError(ours, 'y')).toBe(ours);
    expect(asGigatunError('text', 'y')).toMatchObject({ code: 'SYSTEM', message: 'could not y: text' });
  });
});
