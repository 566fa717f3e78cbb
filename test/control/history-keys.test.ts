/** Settings of [Peer] for sending more than once: what they mean, what follows from them, and what is wrong with them. */
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/control/config-file.ts';
import type { HistoryFileSettings, LaneChoice } from '../../src/control/config-types.ts';
import { chooseLanes, endpointsOf, memoryUse, mtuReserve } from '../../src/control/tunnel-settings.ts';
import { GigatunError } from '../../src/errors.ts';
import { FEC_MTU_BYTES, NO_HISTORY, needsOneLane, TABLE_BYTES } from '../../src/history/settings.ts';

const HEAD = [
  '[Interface]',
  'PrivateKey = YAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=',
  '[Peer]',
  'PublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=',
  '',
].join('\n');
/** Lines before the settings. */
const LINES = 4;

function parse(settings: readonly string[]): ReturnType<typeof parseConfig> {
  return parseConfig(`${HEAD}${settings.map((line) => `#gigatun: ${line}\n`).join('')}`, 'wg0.conf');
}

function historyOf(...settings: string[]): HistoryFileSettings | null {
  return parse(settings).config.peers[0]?.history ?? null;
}

function problemOf(...settings: string[]): string {
  try {
    parse(settings);
  } catch (error) {
    if (error instanceof GigatunError) return error.message;
  }
  return '';
}

describe('a peer', () => {
  it('of which nothing is said has no history, nor has one of which only what WireGuard does is said', () => {
    expect(parse([]).config.peers[0]).not.toHaveProperty('history');
    expect(historyOf('Copies = 1', 'Retransmit = off', 'InOrder = off', 'Fec = off')).toBeNull();
  });

  it('gets what each setting says', () => {
    const settings = historyOf(
      ...['Copies = 3', 'CopyDelay = 40ms', 'CopyOnly = small, dscp:EF', 'CopyOnly = handshake,dscp:0'],
      ...['CopyWhen = loss', 'CopyBudget = 50%', 'Retransmit = 0.15s', 'RetransmitBudget = 30 %', 'InOrder = tcp'],
      ...['HoldTime = 80ms', 'Fec = 8+2', 'FecDelay = 10 ms', 'History = 2MiB', 'PathMode = redundant'],
      ...['Path = dsl local=192.0.2.7 endpoint=vpn.example.com:51820 weight=3', 'Path = lte backup local=wwan0'],
    );
    expect(settings).toEqual({
      copies: {
        ...{ count: 3, delayMs: 40, only: { small: true, handshake: true, dscps: [0, 46] } },
        ...{ when: 'loss', budget: 0.5 },
      },
      ...{ retransmitMs: 150, retransmitBudget: 0.3, inOrder: 'tcp', holdMs: 80 },
      fec: { mode: 'on', data: 8, parity: 2, delayMs: 10 },
      ...{ ringBytes: 2_097_152, pathMode: 'redundant' },
      paths: [
        {
          ...{ name: 'dsl', localAddress: '192.0.2.7', localInterface: null, weight: 3, isBackup: false },
          endpoint: { host: 'vpn.example.com', port: 51_820 },
        },
        {
          ...{ name: 'lte', localAddress: null, localInterface: 'wwan0', weight: 1, isBackup: true },
          endpoint: null,
        },
      ],
    });
  });

  it('may spend on copies what Copies says, and waits for order where paths are weighted, unless told otherwise', () => {
    expect(historyOf('Copies = 3')?.copies.budget).toBe(2);
    expect(historyOf('Copies = 3', 'CopyBudget = 10%')?.copies.budget).toBe(0.1);
    expect(historyOf('PathMode = weighted')?.inOrder).toBe('tcp');
    expect(historyOf('PathMode = weighted', 'InOrder = off')?.inOrder).toBe('off');
    expect(historyOf('PathMode = failover')?.inOrder).toBe('off');
  });

  it.each([
    ['dscp:af21', 18],
    ['dscp:AF43', 38],
    ['dscp:cs7', 56],
    ['dscp:va', 44],
    ['dscp:le', 1],
    ['dscp:63', 63],
  ])('copies %s', (text, dscp) => {
    expect(historyOf('Copies = 2', `CopyOnly = ${text}`)?.copies.only?.dscps).toEqual([dscp]);
  });
});

describe('a setting', () => {
  it.each([
    ['Copies = 5', 'how often each datagram is sent in all, from 1 to 4'],
    ['CopyDelay = 40', 'give its unit'],
    ['CopyDelay = 1001ms', 'from 0ms to 1s'],
    ['CopyOnly = dscp:64', 'from 0 to 63'],
    ['CopyOnly = large', 'small, handshake or dscp:NUMBER'],
    ['CopyWhen = never', 'one of always, loss'],
    ['CopyBudget = 0%', 'a share from 1% to 300%'],
    ['CopyBudget = 50', 'a share from 1% to 300%'],
    ['Retransmit = 11s', '"off" or a time from 1ms to 10s'],
    ['Retransmit = 0ms', '"off" or a time'],
    ['RetransmitBudget = 101%', 'a share from 1% to 100%'],
    ['InOrder = udp', 'one of off, tcp, all'],
    ['HoldTime = off', '"auto" or a time'],
    ['Fec = 33+1', 'off, auto or DATAGRAMS+PARITIES'],
    ['Fec = 10', 'as in 10+2'],
    ['History = 512KiB', 'a size from 1MiB to 64MiB'],
    ['History = 65MiB', 'a size from 1MiB to 64MiB'],
    ['Path = a/b', 'a name of 1 to 15'],
    ['Path = dsl weight=0', 'a weight from 1 to 1000'],
    ['Path = dsl endpoint=1.2.3.4', 'HOST:PORT'],
    ['Path = dsl local=', 'a numeric address or an interface'],
    ['Path = dsl backup=yes', 'local=, endpoint=, weight= or backup'],
    ['Path = dsl backup backup', 'one backup'],
    ['PathMode = bonding', 'one of follow, failover'],
  ])('%s is refused where it stands', (line, expected) => {
    const problem = problemOf('Announce = on', line);
    expect(problem).toContain(expected);
    expect(problem).toMatch(new RegExp(`^wg0.conf:${LINES + 2}:`));
  });

  it('may not name a path twice, nor have nine', () => {
    expect(problemOf('Path = a', 'Path = b', 'Path = a')).toContain('a name of its own for each Path, got a twice');
    const nine = Array.from({ length: 9 }, (_, at) => `Path = p${at}`);
    expect(problemOf(...nine)).toContain('at most 8 paths, got 9');
    expect(historyOf(...nine.slice(1))?.paths).toHaveLength(8);
  });

  it.each([
    ['CopyDelay = 40ms', 'Copies'],
    ['RetransmitBudget = 10%', 'Retransmit'],
    ['HoldTime = 10ms', 'InOrder'],
    ['FecDelay = 10ms', 'Fec'],
    ['History = 8MiB', 'Retransmit, Fec or CopyDelay'],
  ])('%s without %s has no effect, and that is said', (line, needed) => {
    const { warnings } = parse(['Path = a', line]);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain(`has no effect without ${needed}`);
  });
});

describe('lanes', () => {
  const retransmits = [{ history: { ...NO_HISTORY, retransmitMs: 150 } }];
  const copies = [{ history: { ...NO_HISTORY, copies: { ...NO_HISTORY.copies, count: 2 } } }, {}];

  it.each<[LaneChoice | null, number]>([
    ['auto', 1],
    [null, 1],
    [1, 1],
  ])('%s are one with repeats', (choice, lanes) => {
    expect(chooseLanes(choice, retransmits)).toBe(lanes);
  });

  it('more than one are refused with repeats, and no matter with copies', () => {
    expect(() => chooseLanes(2, retransmits)).toThrow(/expected one lane for Retransmit.*got 2 lanes; set Lanes to 1/);
    expect(chooseLanes(2, copies)).toBe(2);
    expect(chooseLanes('auto', copies)).toBe(chooseLanes('auto', []));
  });

  it.each(['InOrder = all', 'Fec = auto', 'PathMode = weighted', 'Retransmit = 1s'])('are one with %s', (line) => {
    const settings = historyOf(line);
    expect(settings !== null && needsOneLane(settings)).toBe(true);
  });
});

describe('what follows', () => {
  it('a derived MTU leaves room for parity where there is any', () => {
    expect(mtuReserve([{}, { history: historyOf('Fec = auto') }])).toBe(FEC_MTU_BYTES);
    expect(mtuReserve([{}, { history: historyOf('Retransmit = 1s') }])).toBe(0);
  });

  it('memory is reckoned with what lanes keep', () => {
    const peers = [
      { history: historyOf('Retransmit = 1s', 'History = 8MiB') },
      { history: historyOf('Copies = 2') },
      {},
    ];
    const { gaps, ring, order } = TABLE_BYTES;
    const historyBytes = 8 * 1_048_576 + gaps + ring + gaps;
    expect(memoryUse(1, peers)).toEqual({ lanes: 1, peers: 3, historyBytes });
    expect(memoryUse(1, [{ history: historyOf('InOrder = tcp') }]).historyBytes).toBe(4 * 1_048_576 + gaps + order);
  });

  it('a peer is reached at its endpoint and at those of its paths', () => {
    const [own, other] = [
      { address: '192.0.2.1', port: 1 },
      { address: '192.0.2.2', port: 2 },
    ];
    const path = { name: 'a', localAddress: null, localInterface: null, weight: 1, isBackup: false };
    const paths = [
      { ...path, endpoint: null },
      { ...path, endpoint: other },
    ];
    expect(endpointsOf({ endpoint: own, history: { ...NO_HISTORY, paths } })).toEqual([own, other]);
    expect(endpointsOf({ endpoint: null })).toEqual([]);
  });
});
