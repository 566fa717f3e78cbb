/** Carrying a plan out: all of it or nothing, in whatever way it ends. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Link, type LinkTools, openLink, recoverLink } from '../../src/control/link-apply.ts';
import type { LinkPlan, LinkStep } from '../../src/control/link-plan.ts';
import { GigatunError } from '../../src/errors.ts';
import { type FakeRunner, fakeRunner, keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';

function step(word: string, part: Partial<LinkStep> = {}): LinkStep {
  const run = (verb: string): LinkStep['action'] => ({ kind: 'run', command: { program: 'ip', args: [verb, word] } });
  return { action: run('do'), undo: run('undo'), optional: false, ...part };
}

const PLAN: LinkPlan = { steps: [step('a'), step('b', { undo: null }), step('c'), step('d')], warnings: [] };

function toolsOf(runner: FakeRunner, signal: AbortSignal = new AbortController().signal): LinkTools {
  return { run: runner.run, log: keptLog().log, journal: join(temporaryDirectory(), 'wg0.undo'), signal };
}

async function applyLink(plan: LinkPlan, tools: LinkTools): Promise<Link> {
  const link = openLink(tools);
  await link.carryOut(plan);
  return link;
}

/** Carries out a plan that fails, undoes it, and gives the failure. */
async function failedLink(plan: LinkPlan, tools: LinkTools): Promise<unknown> {
  const link = openLink(tools);
  const error = await rejectionOf(link.carryOut(plan));
  await link.undo();
  return error;
}

describe('a plan', () => {
  it('is carried out in order and undone in reverse, once', async () => {
    const runner = fakeRunner();
    const tools = toolsOf(runner);
    const link = await applyLink(PLAN, tools);
    expect(runner.commands.splice(0)).toEqual(['ip do a', 'ip do b', 'ip do c', 'ip do d']);
    expect(existsSync(tools.journal)).toBe(true);
    await link.undo();
    await link.undo();
    expect(runner.commands).toEqual(['ip undo d', 'ip undo c', 'ip undo a']);
    expect(existsSync(tools.journal)).toBe(false);
  });

  it.each([
    ['a', []],
    ['b', ['ip undo a']],
    ['c', ['ip undo a']],
    ['d', ['ip undo c', 'ip undo a']],
  ])('that fails at %s leaves nothing', async (word, undone) => {
    const runner = fakeRunner((text) =>
      text === `ip do ${word}` ? { status: 2, stderr: 'RTNETLINK answers: No such device\n' } : null,
    );
    const tools = toolsOf(runner);
    const error = await failedLink(PLAN, tools);
    expect(error).toMatchObject({ code: 'SYSTEM', message: `ip do ${word} failed: RTNETLINK answers: No such device` });
    expect(runner.commands.filter((text) => text.startsWith('ip undo'))).toEqual(undone);
    expect(existsSync(tools.journal)).toBe(false);
  });

  it('goes on behind an optional step that fails, and does not undo it', async () => {
    const runner = fakeRunner((text) => (text === 'ip do a' ? { status: 1 } : null));
    const link = await applyLink({ ...PLAN, steps: [step('a', { optional: true }), step('b')] }, toolsOf(runner));
    await link.undo();
    expect(runner.commands).toEqual(['ip do a', 'ip do b', 'ip undo b']);
  });

  it('is undone to the end even if undoing fails on the way; what failed is told, kept, and tried again', async () => {
    const failing = new Set(['ip undo d', 'ip undo a']);
    const runner = fakeRunner((text) => (failing.has(text) ? { status: 1, stderr: `no ${text}` } : null));
    const tools = toolsOf(runner);
    const link = await applyLink(PLAN, tools);
    const error = await rejectionOf(link.undo());
    expect(error).toMatchObject({ code: 'SYSTEM', message: expect.stringMatching(/no ip undo d; .*no ip undo a/) });
    expect(error).toHaveProperty('message', expect.stringContaining(tools.journal));
    expect(runner.commands.splice(0).slice(-3)).toEqual(['ip undo d', 'ip undo c', 'ip undo a']);
    expect(JSON.parse(readFileSync(tools.journal, 'utf8'))).toEqual([step('a').undo, step('d').undo]);
    failing.delete('ip undo d');
    expect(await rejectionOf(link.undo())).toBeInstanceOf(GigatunError);
    failing.clear();
    await link.undo();
    expect(runner.commands).toEqual(['ip undo d', 'ip undo a', 'ip undo a']);
    expect(existsSync(tools.journal)).toBe(false);
  });

  it.each([
    'RTNETLINK answers: No such file or directory',
    'RTNETLINK answers: No such process',
    'Error: ipv4: FIB table does not exist.',
    'Cannot find device "wg0"',
    'RTNETLINK answers: Address family not supported by protocol',
  ])('counts as undone where others were faster: %s', async (stderr) => {
    const runner = fakeRunner((text) => (text.startsWith('ip undo') ? { status: 2, stderr } : null));
    const tools = toolsOf(runner);
    const link = await applyLink(PLAN, tools);
    await link.undo();
    expect(existsSync(tools.journal)).toBe(false);
  });

  it('takes no other program at that word', async () => {
    const undo = { kind: 'run', command: { program: 'resolvconf', args: ['-d', 'wg0'] } } as const;
    const runner = fakeRunner((text) =>
      text === 'resolvconf -d wg0' ? { status: 1, stderr: '/etc/resolv.conf: No such file or directory' } : null,
    );
    const link = await applyLink({ ...PLAN, steps: [step('a', { undo })] }, toolsOf(runner));
    expect(await rejectionOf(link.undo())).toMatchObject({ code: 'SYSTEM' });
  });

  it('is stopped between two steps by the signal, with its reason', async () => {
    const stop = new AbortController();
    const reason = new GigatunError('GONE', 'stopped by SIGTERM');
    const runner = fakeRunner((text) => {
      if (text === 'ip do c') stop.abort(reason);
      return null;
    });
    expect(await failedLink(PLAN, toolsOf(runner, stop.signal))).toBe(reason);
    expect(runner.commands).toEqual(['ip do a', 'ip do b', 'ip do c', 'ip undo c', 'ip undo a']);
  });

  it('writes a setting, and tells when it may not', async () => {
    const path = join(temporaryDirectory(), 'setting');
    const write = { action: { kind: 'write', path, text: '1' }, undo: null, optional: false } as const;
    await applyLink({ steps: [write], warnings: [] }, toolsOf(fakeRunner()));
    expect(readFileSync(path, 'utf8')).toBe('1');
    const nowhere = { ...write, action: { ...write.action, path: `${path}/x` } };
    const error = await rejectionOf(applyLink({ steps: [nowhere], warnings: [] }, toolsOf(fakeRunner())));
    expect(error).toMatchObject({ code: 'SYSTEM', syscall: 'open' });
  });
});

describe('hints', () => {
  it.each([
    ['RTNETLINK answers: File exists\nCommand failed -:2\n', '(route add 10.2.0.0/16 dev wg0); it exists already'],
    ['RTNETLINK answers: Operation not permitted', 'Operation not permitted'],
  ])('come with %j', async (stderr, text) => {
    const input = 'route add 10.1.0.0/16 dev wg0\nroute add 10.2.0.0/16 dev wg0\n';
    const batch = { kind: 'run', command: { program: 'ip', args: ['-4', '-batch', '-'], input } } as const;
    const runner = fakeRunner(() => ({ status: 1, stderr }));
    const plan = { steps: [{ action: batch, undo: null, optional: false }], warnings: [] };
    const error = await rejectionOf(applyLink(plan, toolsOf(runner)));
    expect(error).toMatchObject({ code: stderr.includes('permitted') ? 'PERMISSION' : 'SYSTEM' });
    expect(error).toHaveProperty('message', expect.stringContaining(text));
  });
});

describe('a journal', () => {
  /** Applies the plan in a process that is then killed: nothing is undone. */
  async function killedAfter(): Promise<LinkTools> {
    const tools = toolsOf(fakeRunner());
    await applyLink(PLAN, tools);
    return tools;
  }

  it('lets the next process undo what a killed one did', async () => {
    const failing = new Set(['ip undo c']);
    const runner = fakeRunner((text) => (failing.has(text) ? { status: 2, stderr: 'busy' } : null));
    const tools = { ...(await killedAfter()), run: runner.run };
    expect(await rejectionOf(recoverLink(tools))).toMatchObject({
      code: 'SYSTEM',
      message: expect.stringMatching(/^an earlier gigatun left .*ip undo c failed: busy/),
    });
    expect(runner.commands.splice(0)).toEqual(['ip undo d', 'ip undo c', 'ip undo a']);
    failing.clear();
    expect(await recoverLink(tools)).toBe(true);
    expect(runner.commands).toEqual(['ip undo c']);
    expect(await recoverLink(tools)).toBe(false);
  });

  it('is written before its step is done', async () => {
    const { journal, ...tools } = await killedAfter();
    const seen: string[] = [];
    const runner = fakeRunner((text) => {
      if (text.startsWith('ip do')) seen.push(`${text}: ${existsSync(journal) && readFileSync(journal, 'utf8')}`);
      return null;
    });
    await applyLink({ ...PLAN, steps: [step('x')] }, { ...tools, journal, run: runner.run });
    expect(seen).toEqual([expect.stringMatching(/^ip do x: .*"undo","x"/)]);
  });

  it.each([
    'x',
    '{}',
    '[1]',
    '[{"kind":"run"}]',
    '[{"kind":"run","command":{"program":"sh","args":["-c","reboot"]}}]',
    '[{"kind":"write","path":"/etc/passwd","text":""}]',
    '[{"kind":"run","command":{"program":"ip","args":[1]}}]',
  ])('that holds %s runs nothing', async (text) => {
    const runner = fakeRunner();
    const tools = toolsOf(runner);
    writeFileSync(tools.journal, text);
    expect(await rejectionOf(recoverLink(tools))).toMatchObject({ code: 'CONFIG' });
    expect(runner.commands).toEqual([]);
  });
});
