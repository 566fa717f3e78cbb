/** From one link to another on a model of the host: it ends as a fresh start would, and every failure ends where it began. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatCommand } from '../../src/control/command.ts';
import type { InterfaceConfig, IpPrefix } from '../../src/control/config-types.ts';
import { readAllowedIp, readInterfaceAddress } from '../../src/control/config-values.ts';
import { type Link, openLink } from '../../src/control/link-apply.ts';
import { linkMoves, type PlannedLink } from '../../src/control/link-difference.ts';
import { type LinkFacts, planLinkParts } from '../../src/control/link-plan.ts';
import { linkLines, queueMoves } from '../../src/control/link-words.ts';
import { GigatunError } from '../../src/errors.ts';
import { keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';
import { type ModelHost, modelHost } from './support/model-host.ts';

const FACTS: LinkFacts = { mark: 0, suppressing: [], nftables: true, resolvconf: true };
const NEVER = new AbortController().signal;

interface Sketch {
  readonly addresses?: readonly string[];
  readonly allowed?: readonly string[];
  readonly mtu?: number;
  readonly mark?: number;
  readonly table?: InterfaceConfig['table'];
  readonly dns?: readonly string[];
}

function planned({
  addresses = [],
  allowed = [],
  mtu = 1_420,
  mark = 51_820,
  table = 'auto',
  dns = [],
}: Sketch): PlannedLink {
  const hooks = { preUp: [], postUp: [], preDown: [], postDown: [] };
  const config: InterfaceConfig = {
    ...{ addresses: values(readInterfaceAddress, addresses), mtu, table, dnsServers: dns, dnsSearch: [] },
    ...{ hooks, saveConfig: false },
  };
  const request = { name: 'wg0', mtu, interface: config, prefixes: values(readAllowedIp, allowed) };
  const facts = { ...FACTS, mark };
  return { request, facts, parts: planLinkParts(request, facts).parts };
}

function values(read: typeof readAllowedIp, texts: readonly string[]): IpPrefix[] {
  return texts.map((text) => {
    const reading = read(text);
    if (!reading.ok) throw new Error(text);
    return reading.value;
  });
}

/** A host on which a plan is carried out. */
async function hostWith(plan: PlannedLink): Promise<{ host: ModelHost; link: Link; journal: () => string }> {
  const host = modelHost();
  const path = join(temporaryDirectory(), 'wg0.undo');
  const link = openLink({ run: host.run, log: keptLog().log, journal: path, signal: NEVER });
  await link.carryOut({ steps: plan.parts.filter(({ optional }) => !optional), warnings: [] });
  return { host, link, journal: () => (existsSync(path) ? readFileSync(path, 'utf8') : '') };
}

/** Undoings in no order. */
function undoings(journal: string): string[] {
  return journal === '' ? [] : (JSON.parse(journal) as unknown[]).map((undo) => JSON.stringify(undo)).sort();
}

function movesOf(old: PlannedLink, wanted: PlannedLink): ReturnType<typeof linkMoves> {
  return linkMoves(old, wanted).filter(({ optional }) => !optional);
}

const someOf = (...texts: string[]): fc.Arbitrary<string[]> => fc.subarray(texts);
const sketch: fc.Arbitrary<Sketch> = fc.record({
  addresses: someOf('10.0.0.1/24', '10.0.0.7/24', '10.9.0.1/32', 'fd00::1/64', 'fd00::7/64').chain((list) =>
    fc.shuffledSubarray(list, { minLength: list.length }),
  ),
  allowed: someOf('10.1.0.0/16', '10.2.0.0/16', '10.0.0.9/32', '0.0.0.0/0', 'fd01::/48', 'fd02::/48', '::/0'),
  mtu: fc.constantFrom(1_280, 1_420),
  mark: fc.constantFrom(7, 51_820),
  table: fc.constantFrom<InterfaceConfig['table']>('auto', 'off', 99),
  dns: someOf('10.0.0.53', '10.0.0.54'),
});

describe('a link that changes', () => {
  it('ends as if it had been set up so, journal included', async () => {
    await fc.assert(
      fc.asyncProperty(sketch, sketch, async (from, to) => {
        const [old, wanted] = [planned(from), planned(to)];
        const { host, link, journal } = await hostWith(old);
        await link.change(movesOf(old, wanted), NEVER);
        const fresh = await hostWith(wanted);
        expect(host.facts()).toEqual(fresh.host.facts());
        expect(undoings(journal())).toEqual(undoings(fresh.journal()));
        await link.undo();
        expect(journal()).toBe('');
      }),
      { numRuns: 300 },
    );
  });

  it('into itself does nothing and says nothing', () => {
    fc.assert(
      fc.property(sketch, (each) => {
        const plan = planned(each);
        expect(linkMoves(plan, planned(each))).toEqual([]);
        expect(linkLines(plan, planned(each))).toEqual([]);
      }),
    );
  });

  it('that fails anywhere ends where it began, journal included', async () => {
    await fc.assert(
      fc.asyncProperty(sketch, sketch, fc.nat(), async (from, to, at) => {
        const [old, wanted] = [planned(from), planned(to)];
        const moves = movesOf(old, wanted);
        const commandsCount = moves.filter(({ action }) => action !== null).length;
        fc.pre(commandsCount > 0);
        const { host, link, journal } = await hostWith(old);
        const before = structuredClone([host.facts(), undoings(journal())]);
        host.failAt = host.commandsCount + (at % commandsCount);
        expect(await rejectionOf(link.change(moves, NEVER))).toMatchObject({
          message: expect.stringMatching('not today'),
        });
        expect([host.facts(), undoings(journal())]).toEqual(before);
      }),
      { numRuns: 300 },
    );
  });

  it('is taken back as a whole when what comes behind it fails', async () => {
    await fc.assert(
      fc.asyncProperty(sketch, sketch, async (from, to) => {
        const [old, wanted] = [planned(from), planned(to)];
        const { host, link, journal } = await hostWith(old);
        const before = structuredClone([host.facts(), undoings(journal())]);
        const takeBack = await link.change(movesOf(old, wanted), NEVER);
        await takeBack();
        expect([host.facts(), undoings(journal())]).toEqual(before);
      }),
    );
  });

  it('does nothing that its journal cannot hold', async () => {
    const [old, wanted] = [planned({ addresses: ['10.0.0.1/24'] }), planned({ allowed: ['0.0.0.0/0', '10.1.0.0/16'] })];
    const { host } = await hostWith(old);
    const journal = join(temporaryDirectory(), 'missing', 'wg0.undo');
    const link = openLink({ run: host.run, log: keptLog().log, journal, signal: NEVER });
    const before = structuredClone(host.facts());
    expect(await rejectionOf(link.change(movesOf(old, wanted), NEVER))).toMatchObject({ code: 'NOT_FOUND' });
    expect(host.facts()).toEqual(before);
  });

  it('takes back the routes that a batch had added before the one that was there', async () => {
    const [old, wanted] = [planned({}), planned({ allowed: ['10.1.0.0/16', '10.2.0.0/16', '10.3.0.0/16'] })];
    const { host, link } = await hostWith(old);
    await host.run({ program: 'ip', args: ['-4', 'route', 'add', '10.2.0.0/16', 'dev', 'wg0'] });
    const before = structuredClone(host.facts());
    const error = await rejectionOf(link.change(linkMoves(old, wanted), NEVER));
    expect(error).toMatchObject({
      message: expect.stringContaining('(route add 10.2.0.0/16 dev wg0); it exists already'),
    });
    expect(host.facts()).toEqual(before);
  });

  it('does not mind what others have removed already', async () => {
    const [old, wanted] = [
      planned({ addresses: ['10.0.0.1/24'], allowed: ['10.1.0.0/16', '10.2.0.0/16'] }),
      planned({}),
    ];
    const { host, link } = await hostWith(old);
    await host.run({ program: 'ip', args: ['-4', 'route', 'delete', '10.1.0.0/16', 'dev', 'wg0'] });
    await host.run({ program: 'ip', args: ['-4', 'address', 'delete', '10.0.0.1/24', 'dev', 'wg0'] });
    await link.change(linkMoves(old, wanted), NEVER);
    expect(host.facts()).toEqual((await hostWith(wanted)).host.facts());
  });

  it('stops between two moves when it is told to, and takes back what it has done', async () => {
    const [old, wanted] = [planned({}), planned({ addresses: ['10.0.0.1/24', '10.9.0.1/32'] })];
    const { host, link } = await hostWith(old);
    const before = structuredClone(host.facts());
    const stop = new AbortController();
    const reason = new GigatunError('GONE', 'enough');
    const moves = linkMoves(old, wanted);
    const stopping = {
      ...moves[0],
      get action() {
        stop.abort(reason);
        return (moves[0] as (typeof moves)[number]).action;
      },
    } as (typeof moves)[number];
    expect(await rejectionOf(link.change([stopping, ...moves.slice(1)], stop.signal))).toBe(reason);
    expect(host.facts()).toEqual(before);
  });

  it('gives a queue its length, and the kernel its own', async () => {
    const texts = [...queueMoves('wg0', null, 40), ...queueMoves('wg0', 40, null), ...queueMoves('wg0', 7, 7)].map(
      ({ action }) => (action?.kind === 'run' ? formatCommand(action.command) : ''),
    );
    expect(texts).toEqual(['ip link set dev wg0 txqueuelen 40', 'ip link set dev wg0 txqueuelen 500']);
  });
});

describe('in words', () => {
  it('a link tells what a person wrote, and routes', () => {
    const old = planned({ addresses: ['10.0.0.1/24'], allowed: ['10.1.0.0/16'], dns: ['10.0.0.53'] });
    const wanted = planned({ addresses: ['10.0.0.2/24'], allowed: ['10.2.0.0/16', '::/0'], mtu: 1_380 });
    expect(linkLines(old, wanted).map(({ sign, text }) => `${sign} ${text}`)).toEqual([
      '~ mtu 1420 -> 1380',
      '~ dns 10.0.0.53 -> none',
      '- address 10.0.0.1/24',
      '- route 10.1.0.0/16',
      '+ address 10.0.0.2/24',
      '+ route 10.2.0.0/16',
      '+ IPv6 default route, with table, mark and rules 51820',
    ]);
  });

  it('routes in another table are other routes', () => {
    const [old, wanted] = [planned({ allowed: ['10.1.0.0/16'] }), planned({ allowed: ['10.1.0.0/16'], table: 5 })];
    expect(linkLines(old, wanted).map(({ sign, text }) => `${sign} ${text}`)).toEqual([
      '~ table auto -> 5',
      '- route 10.1.0.0/16',
      '+ route 10.1.0.0/16 table 5',
    ]);
  });
});
