/**
 * Labs: what they make, and that nothing of them stays, however their process ends.
 *
 *     a: 10.99.7.1 fd99:7::1 == veth == b: 10.99.7.2 fd99:7::2
 */
import { existsSync, statSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { Lab, type LinkEnd, listNamespaces, removeStale } from '../../src/lab/namespaces.ts';
import { ping } from '../../src/lab/ping.ts';
import { isAlive, type Running, runSync, start } from '../../src/lab/process.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';

const BUILT = fileURLToPath(new URL('../../dist/lab/', import.meta.url));

tunnelSuite('a lab', ['ping', 'nft'], () => {
  it('makes namespaces that carry packets, and takes them away', async () => {
    await inLab(async (lab, [a, b]) => {
      expect(a).toMatchObject({ address4: '10.99.7.1', address6: 'fd99:7::1', device: 'veth' });
      for (const address of [b.address4, b.address6]) {
        const { received } = await ping({ from: a.namespace, to: b.namespace, address }, 0.1);
        expect(received).toBe(10);
      }
      expect(listNamespaces()).toContain(a.namespace.name);
      expect(statSync(lab.directory).mode & 0o777).toBe(0o700);
      lab.close();
      expect(listNamespaces()).not.toContain(a.namespace.name);
      expect(existsSync(lab.directory)).toBe(false);
    });
  });

  it('sets the MTU of a link and knows which devices there are', async () => {
    await inLab(async (_, [a]) => {
      expect(a.namespace.runSync(['ip', 'link', 'show', 'veth'])).toContain('mtu 1400');
      expect(a.namespace.hasDevice('veth')).toBe(true);
      expect(a.namespace.hasDevice('veth9')).toBe(false);
    });
  });

  it('loses the share of packets that was asked for, counts them, and stops', async () => {
    await inLab(async (_, [a, b]) => {
      const route = { from: a.namespace, to: b.namespace, address: b.address4 };
      b.namespace.loseIncoming('veth', 0.3);
      const { sent, received } = await ping(route, 3);
      const lost = b.namespace.lostIncoming();
      // On a busy machine some answers come too late to be counted.
      expect(lost).toBeLessThanOrEqual(sent);
      expect(lost).toBeGreaterThan((sent - received) * 0.7);
      expect(sent - received).toBeGreaterThan(sent * 0.15);
      expect(sent - received).toBeLessThan(sent * 0.45);
      b.namespace.loseIncoming('veth', 0);
      expect((await ping(route, 1)).received).toBe(100);
    });
  });

  it('says what ip said when a command fails', async () => {
    await inLab(async (_, [a]) => {
      expect(() => a.namespace.ip('link set lo up', 'link set nothing up')).toThrowError(/nothing/);
    });
  });

  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    'goes with its process on %s, and so do its programs',
    async (signal) => {
      const { owner, namespace, pid, directory } = await startOwner();
      owner.signal(signal);
      expect((await owner.finished).signal).toBe(signal);
      expect(listNamespaces()).not.toContain(namespace);
      expect(existsSync(directory)).toBe(false);
      expect(isAlive(pid)).toBe(false);
    },
  );

  it('that a killed process left behind goes when the next one opens', async () => {
    const { owner, namespace, pid, directory } = await startOwner();
    owner.signal('SIGKILL');
    await owner.finished;
    expect(listNamespaces()).toContain(namespace);
    expect(existsSync(directory)).toBe(true);
    new Lab().close();
    expect(listNamespaces()).not.toContain(namespace);
    expect(existsSync(directory)).toBe(false);
    while (isAlive(pid)) await delay(10);
  });

  it('of a living process is left alone, and so are namespaces of others', async () => {
    const foreign = `gigatun-test-${process.pid}`;
    runSync(['ip', 'netns', 'add', foreign]);
    try {
      await inLab(async (_, [a]) => {
        expect(removeStale()).not.toContain(a.namespace.name);
        expect(listNamespaces()).toEqual(expect.arrayContaining([a.namespace.name, foreign]));
      });
    } finally {
      runSync(['ip', 'netns', 'delete', foreign]);
    }
  });
});

async function inLab(test: (lab: Lab, link: [LinkEnd, LinkEnd]) => Promise<void>): Promise<void> {
  const lab = new Lab();
  try {
    await test(lab, lab.connect(lab.addNamespace('a'), lab.addNamespace('b'), { subnet: 7, mtu: 1400 }));
  } finally {
    lab.close();
  }
}

interface Owner {
  readonly owner: Running;
  readonly namespace: string;
  /** Of a program that the owner runs in its namespace. */
  readonly pid: number;
  readonly directory: string;
}

/** A process of its own that opens a lab, runs a program in it, and would stay for ever. */
async function startOwner(): Promise<Owner> {
  const script = `
    const { Lab } = await import('${BUILT}namespaces.js');
    const lab = new Lab();
    const namespace = lab.addNamespace('a');
    const sleeper = namespace.start(['sleep', '1000'], { timeoutMs: Infinity });
    console.log(JSON.stringify({ namespace: namespace.name, pid: sleeper.pid, directory: lab.directory }));`;
  const owner = start([process.execPath, '--input-type=module', '-e', script]);
  await owner.waitForOutput(/}\n/, 10_000);
  return { owner, ...(JSON.parse(owner.output) as Omit<Owner, 'owner'>) };
}
