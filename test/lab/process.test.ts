/** Programs that the lab runs: their results, their bounds, their end. */
import { describe, expect, it } from 'vitest';
import { isAlive, run, runSync, start } from '../../src/lab/process.ts';

const NODE = process.execPath;
const FOR_EVER = 'setInterval(() => {}, 1e6)';

describe('run', () => {
  it('gives both outputs and the status', async () => {
    const finished = await run([NODE, '-e', 'console.log("a"); console.error("b")']);
    expect(finished).toMatchObject({ code: 0, signal: null, stdout: 'a\n', stderr: 'b\n', timedOut: false });
  });
  it('passes input and environment on', async () => {
    const script = 'process.stdin.on("data", (d) => process.stdout.write(process.env.WHO + d))';
    expect((await run([NODE, '-e', script], { input: '!', env: { WHO: 'me' } })).stdout).toBe('me!');
  });
  it('throws what a failing program said', async () => {
    const failing = run([NODE, '-e', 'console.error("no such thing"); process.exit(3)']);
    await expect(failing).rejects.toThrowError(/ended with status 3: no such thing/);
  });
  it('returns a failure that was expected', async () => {
    expect(await run([NODE, '-e', 'process.exit(3)'], { mayFail: true })).toMatchObject({ code: 3 });
  });
  it('says when a program does not exist', async () => {
    await expect(run(['no-such-program'])).rejects.toThrowError(/no-such-program could not be started/);
  });
  it('ends a program when its time is over', async () => {
    const failing = run([NODE, '-e', FOR_EVER], { timeoutMs: 200 });
    await expect(failing).rejects.toThrowError(/did not end in time/);
  });
});

describe('runSync', () => {
  it('gives the output', () => expect(runSync(['cat'], 'text')).toBe('text'));
  it('throws what a failing program said', () => {
    expect(() => runSync(['sh', '-c', 'echo bad >&2; exit 4'])).toThrowError(/status 4: bad/);
  });
  it('says when a program does not exist', () => {
    expect(() => runSync(['no-such-program'])).toThrowError(/could not be started/);
  });
});

describe('a running program', () => {
  it('can be waited for until it says something', async () => {
    const program = start([NODE, '-e', `setTimeout(() => console.log("re" + "ady"), 50); ${FOR_EVER}`]);
    await program.waitForOutput(/ready/, 5_000);
    expect(program.output).toBe('ready\n');
    await program.stop();
  });
  it('that ends instead throws its last words', async () => {
    const program = start([NODE, '-e', 'console.error("port taken"); process.exit(1)']);
    await expect(program.waitForOutput(/ready/, 5_000)).rejects.toThrowError(/port taken/);
  });
  it('that stays silent throws after the time', async () => {
    const program = start([NODE, '-e', FOR_EVER]);
    await expect(program.waitForOutput(/ready/, 100)).rejects.toThrowError(/did not say ready within 100 ms/);
    await program.stop();
  });
  it('ends on stop, and twice is fine', async () => {
    const program = start([NODE, '-e', FOR_EVER]);
    expect((await program.stop()).signal).toBe('SIGTERM');
    await program.stop();
    expect(isAlive(program.pid)).toBe(false);
  });
  it('that ignores SIGTERM is killed', async () => {
    const program = start([NODE, '-e', `process.on("SIGTERM", () => {}); console.log("ready"); ${FOR_EVER}`]);
    await program.waitForOutput(/ready/, 5_000);
    expect((await program.stop()).signal).toBe('SIGKILL');
  });
});

it('a zombie is not alive', async () => {
  const parent = start(['sh', '-c', 'sh -c exit & echo $!; exec sleep 100']);
  await parent.waitForOutput(/\d+\n/, 5_000);
  await parent.waitUntil(() => !isAlive(Number(parent.output)), 5_000, 'become a zombie');
  await parent.stop();
});
