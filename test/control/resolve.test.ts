/** Endpoint names: found, waited for, or given up, each in its time. */
import { describe, expect, it } from 'vitest';
import type { PeerFileConfig } from '../../src/control/config-types.ts';
import { alternateFamilies, type ResolveTools, resolvePeers, triesFromEnvironment } from '../../src/control/resolve.ts';
import { GigatunError } from '../../src/errors.ts';
import { rejectionOf } from './support/fakes.ts';

function peer(host: string | null): PeerFileConfig {
  return {
    publicKey: new Uint8Array(32),
    presharedKey: null,
    allowedIps: [],
    persistentKeepaliveSeconds: 0,
    endpoint: host === null ? null : { host, port: 51_820 },
  };
}

function failure(code: string): Error {
  return Object.assign(new Error(`getaddrinfo ${code}`), { code });
}

interface Trial {
  readonly tools: ResolveTools;
  readonly reports: string[];
  readonly delaysMs: number[];
}

/** A resolver that answers after so many failures, and a clock that does not wait. */
function trial(failures: number, code = 'EAI_AGAIN', triesMax = 15): Trial {
  const reports: string[] = [];
  const delaysMs: number[] = [];
  let asked = 0;
  const tools: ResolveTools = {
    lookup: async () => {
      asked++;
      if (asked <= failures) throw failure(code);
      return ['192.0.2.7', '2001:db8::7'];
    },
    delay: async (milliseconds) => {
      delaysMs.push(milliseconds);
    },
    report: (text) => reports.push(text),
    signal: new AbortController().signal,
    triesMax,
  };
  return { tools, reports, delaysMs };
}

describe('an endpoint', () => {
  it('gets the address of its name; a peer without one has none', async () => {
    const peers = await resolvePeers([peer('a.example'), peer(null)], trial(0).tools);
    expect(peers.map(({ endpoint }) => endpoint)).toEqual([{ address: '192.0.2.7', port: 51_820 }, null]);
    expect(peers.map(({ addresses }) => addresses)).toEqual([['192.0.2.7', '2001:db8::7'], []]);
  });

  it.each([
    [
      ['2001:db8::1', '2001:db8::2', '192.0.2.1'],
      ['2001:db8::1', '192.0.2.1', '2001:db8::2'],
    ],
    [
      ['192.0.2.1', '192.0.2.2', '2001:db8::1'],
      ['192.0.2.1', '2001:db8::1', '192.0.2.2'],
    ],
    [['192.0.2.1'], ['192.0.2.1']],
    [[], []],
  ])('of several addresses, %j, has both families in turn', (found, order) => {
    expect(alternateFamilies(found)).toEqual(order);
  });

  it.each(['192.0.2.1', '2001:db8::1', 'fe80::1%eth0'])('%s needs no name server', async (address) => {
    const lookup = () => Promise.reject(new Error('nobody is asked'));
    const peers = await resolvePeers([peer(address)], { ...trial(0).tools, lookup });
    expect(peers[0]).toMatchObject({ endpoint: { address }, addresses: [] });
  });

  it('is asked for again, later and later, and says so', async () => {
    const { tools, reports, delaysMs } = trial(14);
    await resolvePeers([peer('a.example')], tools);
    expect(delaysMs).toHaveLength(14);
    expect(delaysMs[0]).toBe(1_000);
    expect(delaysMs).toEqual(delaysMs.toSorted((left, right) => left - right));
    expect(Math.max(...delaysMs)).toBeLessThanOrEqual(20_000);
    expect(reports[0]).toBe('a.example: getaddrinfo EAI_AGAIN; trying again in 1.0 s (1 of 15 tries)');
  });

  it('is given up after the last try', async () => {
    const { tools, delaysMs } = trial(3, 'EAI_AGAIN', 3);
    const error = await rejectionOf(resolvePeers([peer('a.example')], tools));
    expect(error).toMatchObject({ code: 'SYSTEM', message: expect.stringContaining('a.example after 3 tries') });
    expect(delaysMs).toHaveLength(2);
  });

  it('that does not exist is an error at once', async () => {
    const { tools, delaysMs } = trial(1, 'ENOTFOUND');
    const error = await rejectionOf(resolvePeers([peer('a.example')], tools));
    expect(error).toMatchObject({ code: 'NOT_FOUND', message: expect.stringContaining('a.example has no address') });
    expect(delaysMs).toEqual([]);
  });

  it('is no longer asked for after a stop', async () => {
    const stop = new AbortController();
    const reason = new GigatunError('GONE', 'stopped');
    const { delay: _, ...tools } = trial(Number.POSITIVE_INFINITY).tools;
    const resolving = rejectionOf(resolvePeers([peer('a.example')], { ...tools, signal: stop.signal }));
    setTimeout(() => stop.abort(reason), 20);
    expect(await resolving).toBe(reason);
  });
});

describe('the number of tries', () => {
  it.each([
    [undefined, 15],
    ['', 15],
    ['x', 15],
    ['0', 15],
    ['3', 3],
    ['infinity', Number.POSITIVE_INFINITY],
  ])('from %j is %d', (text, tries) => expect(triesFromEnvironment(text)).toBe(tries));
});
