/**
 * The life of one end, as its admin sees it: names, a deleted interface, a killed program, a namespace that goes, junk.
 *
 *     [ inside: TUN, moved there in some tests ]--program, sockets :51820--( lo of birth )
 */
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Namespace } from '../../src/lab/namespaces.ts';
import { isAlive, run } from '../../src/lab/process.ts';
import { type NetnsEnd, startCommand } from '../support/netns-end.ts';
import { type Classic, endSuite, inner, netnsSuite, openClassic, Site } from '../support/netns-site.ts';
import { deliveredBy, echoes, eventually, expectEcho, PATIENCE_MS } from '../support/netns-traffic.ts';
import { programPath } from '../support/tunnel-programs.ts';

/** So long may an end that had followed still show where its peer was. */
const SHOWN_MS = 500;

endSuite('the life of an interface', [], (implementation) => {
  let site: Site;
  let birth: Namespace;
  beforeAll(() => {
    site = new Site();
    birth = site.namespace('birth');
  });
  afterAll(async () => await site?.close());

  async function expectEnds(end: NetnsEnd): Promise<void> {
    await end.program.waitUntil(() => end.program.ended, PATIENCE_MS, 'end').catch(() => undefined);
    expect(end.program.ended).toBe(true);
    expect(birth.hasDevice(end.name)).toBe(false);
  }

  it('`ip link del` ends the program and takes its socket away', async () => {
    const end = await site.open(implementation, birth);
    birth.ip(`link del ${end.name}`);
    await expectEnds(end);
    await eventually('no socket', () => !existsSync(end.socket));
  });

  it('`ip link del` in another namespace does, too', async () => {
    const end = await site.open(implementation, birth);
    const inside = site.namespace('inside');
    end.moveTo(inside);
    end.up(1420, '10.88.0.9/24');
    expect(await end.show('listen-port')).toEqual([['51820']]);
    inside.ip(`link del ${end.name}`);
    await expectEnds(end);
  });

  it('a namespace that goes takes the interface and so the program with it', async () => {
    const end = await site.open(implementation, birth);
    const inside = site.namespace('going');
    end.moveTo(inside);
    end.up(1420, '10.88.0.9/24');
    await run(['ip', 'netns', 'delete', inside.name]);
    await expectEnds(end);
  });

  it('an interface that moves away and back again stays', async () => {
    const end = await site.open(implementation, birth);
    const inside = site.namespace('visited');
    end.moveTo(inside);
    end.up(1420, '10.88.0.9/24');
    end.moveTo(birth);
    end.up(1420, '10.88.0.9/24');
    expect(await echoes(birth, '10.88.0.9')).toBe(1);
    expect(await end.show('listen-port')).toEqual([['51820']]);
    await end.set('listen-port', '51999');
    expect(await end.show('listen-port')).toEqual([['51999']]);
    expect(end.program.ended).toBe(false);
    await end.close();
  });

  it('a killed program leaves no interface, and its name is free again', async () => {
    const end = await site.open(implementation, birth, { name: `gnk${process.pid.toString(36)}${implementation[0]}` });
    end.up(1420, '10.88.0.9/24');
    end.program.signal('SIGKILL');
    await expectEnds(end);
    const again = await site.open(implementation, birth, { name: end.name });
    expect(again.publicKey).not.toBe(end.publicKey);
    expect((await again.show('public-key'))[0]).toEqual([again.publicKey]);
    await again.close();
  });

  it('removing its socket ends the program', async () => {
    const end = await site.open(implementation, birth);
    await run(['rm', end.socket]);
    await expectEnds(end);
  });

  it('a name of 15 characters is as good as any, one of 16 is refused', async () => {
    const name = `gn-${process.pid}-`.padEnd(14, 'n') + implementation[0];
    const end = await site.open(implementation, birth, { name });
    expect(name.length).toBe(15);
    expect(birth.hasDevice(name)).toBe(true);
    expect(await end.show('listen-port')).toEqual([['51820']]);
    expect((await run(['wg', 'show', 'interfaces'])).stdout.split(/\s/)).toContain(name);
    const refused = await birth.run(startCommand(implementation, `${name}n`), { mayFail: true });
    expect(refused.code).toBeGreaterThan(0);
    await end.close();
  });

  it('a second program of the same name is refused, and the first stays', async () => {
    const end = await site.open(implementation, birth);
    const second = await birth.run(startCommand(implementation, end.name), { mayFail: true });
    expect(second.code).toBeGreaterThan(0);
    expect(await end.show('listen-port')).toEqual([['51820']]);
    expect((await end.show('public-key'))[0]).toEqual([end.publicKey]);
    await end.close();
  });

  it('in the background it serves as soon as the command returns, until the interface is deleted', async () => {
    const name = `gnb${process.pid.toString(36)}${implementation[0]}`;
    const [program = '', ...words] = startCommand(implementation, name).filter((word) => word !== '-f');
    const { code } = await birth.run([program, ...words]);
    expect(code).toBe(0);
    await run(['wg', 'set', name, 'listen-port', '51777']);
    expect((await run(['wg', 'show', name, 'listen-port'])).stdout).toBe('51777\n');
    const pids = birth.runSync(['ip', 'netns', 'pids', birth.name]).split('\n').filter(Boolean).map(Number);
    expect(pids.length).toBeGreaterThan(0);
    birth.ip(`link del ${name}`);
    await eventually('the program to end', () => !pids.some(isAlive));
    expect(existsSync(`/var/run/wireguard/${name}.sock`)).toBe(false);
  });
});

netnsSuite('junk', [], (pairing) => {
  let classic: Classic;
  beforeAll(async () => {
    classic = await openClassic(pairing);
    await expectEcho(classic.a.namespace, inner(2, 4));
  });
  afterAll(async () => await classic?.site.close());

  it.for(['127.0.0.1', '::1'])('sent to a port at %s changes nothing', async (address) => {
    const { a, b, birth } = classic;
    const before = [deliveredBy(a), deliveredBy(b)];
    for (const port of [1, 2]) {
      const command = [process.execPath, programPath('netns-junk'), address, String(port), `junk for ${address}`];
      const { stdout } = await birth.run(command);
      expect(Number(stdout)).toBeGreaterThan(500);
    }
    await delay(SHOWN_MS);
    expect([await a.endpointOf(b), await b.endpointOf(a)]).toEqual(['127.0.0.1:2', '127.0.0.1:1']);
    expect([deliveredBy(a), deliveredBy(b)]).toEqual(before);
    expect(await echoes(a.namespace, inner(2, 4), { count: 3 })).toBe(3);
    expect(await echoes(b.namespace, inner(1, 6), { count: 3 })).toBe(3);
  });
});
