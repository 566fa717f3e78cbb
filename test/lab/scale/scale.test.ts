/** The scale run's parts that need no network: its arguments, its crowd, its echoes, its verdicts. */
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../src/control/config-file.ts';
import { formatKey, generatePrivateKey, publicKeyOf } from '../../../src/control/key-text.ts';
import { GigatunError } from '../../../src/errors.ts';
import { crowdSections, hostOf } from '../../../src/lab/scale/crowd.ts';
import { echoRequest, isEchoReply } from '../../../src/lab/scale/echo.ts';
import { isComplete, parseScaleOptions, type ScaleOptions } from '../../../src/lab/scale/options.ts';
import { judge, type ScaleResult, toMarkdown } from '../../../src/lab/scale/result.ts';

const parse = (...args: string[]): ScaleOptions => parseScaleOptions(args) as ScaleOptions;

describe('arguments', () => {
  it('say everything when there are none', () => {
    expect(parse()).toMatchObject({ peers: 10_000, prefixes: 100_000, handshakes: 1_000, program: null, json: false });
    expect(isComplete(parse())).toBe(true);
  });

  it.each([
    ['--peers', '5000'],
    ['--parts', 'lookup,storm'],
    ['--seconds', '2'],
    ['--program', 'main.js'],
  ])('%s %s makes a run that is not kept', (...args) => expect(isComplete(parse(...args))).toBe(false));

  it.each([['--peers', '99'], ['--peers', 'many'], ['--parts', 'all'], ['--prefixes', '5'], ['--what']])(
    '%s %s is refused',
    (...args) => expect(() => parse(...args.filter(Boolean))).toThrowError(GigatunError),
  );
});

describe('a crowd', () => {
  it('is a configuration with as many peers and prefixes as were asked for, none twice', () => {
    const own = formatKey(publicKeyOf(generatePrivateKey()));
    const head = `[Interface]\nPrivateKey = ${formatKey(generatePrivateKey())}\n`;
    const text = head + crowdSections({ peers: 300, prefixes: 1_000, keys: [own] });
    const { config, warnings } = parseConfig(text, 'crowd.conf');
    expect(warnings).toEqual([]);
    expect(config.peers).toHaveLength(300);
    expect(config.peers.flatMap(({ allowedIps }) => allowedIps)).toHaveLength(1_000);
    expect(formatKey(config.peers[0]?.publicKey ?? new Uint8Array(0))).toBe(own);
    expect(config.peers[299]?.allowedIps[0]?.address.join('.')).toBe(hostOf(299));
  });
});

describe('an echo', () => {
  const request = echoRequest('10.1.0.0', '10.0.0.1');

  it('has checksums that add up', () => {
    const view = new DataView(request.buffer);
    const sum = (from: number, to: number): number => {
      let words = 0;
      for (let at = from; at < to; at += 2) words += view.getUint16(at);
      return (words & 0xffff) + (words >>> 16);
    };
    expect([sum(0, 20), sum(20, 28)]).toEqual([0xffff, 0xffff]);
  });

  it('is answered by a reply between the same two, and by nothing else', () => {
    const reply = Uint8Array.from(request);
    reply.set(request.subarray(12, 16), 16);
    reply.set(request.subarray(16, 20), 12);
    reply[20] = 0;
    expect(isEchoReply(reply, '10.0.0.1', '10.1.0.0')).toBe(true);
    expect(isEchoReply(request, '10.1.0.0', '10.0.0.1')).toBe(false);
    expect(isEchoReply(reply, '10.0.0.2', '10.1.0.0')).toBe(false);
    for (let length = 0; length < 28; length += 1)
      expect(isEchoReply(reply.subarray(0, length), '10.0.0.1', '10.1.0.0')).toBe(false);
  });
});

describe('a result', () => {
  const storm = {
    peers: 10_000,
    handshakes: 1_000,
    responseP50Ms: 700,
    responseLastMs: 1_400,
    cookies: 0,
    repetitions: 0,
  };
  const lookup = { shape: 'hosts', buildMs: 1, tableBytes: 1_024 } as const;
  const machine = { cpu: 'x', cores: 2, memoryBytes: 1, kernel: '6', node: 'v20', loadAverages: [0], busyShare: 0 };
  const result = (settledMs: number, starved: number, ns: number): ScaleResult => ({
    report: 'gigatun scale',
    takenAt: '2026-01-01T00:00:00.000Z',
    machine,
    options: parse(),
    lookups: [
      { ...lookup, prefixes: 10, ns: 10 },
      { ...lookup, prefixes: 100_000, ns },
    ],
    start: null,
    storms: [{ ...storm, settledMs, starved, cpuSeconds: 1 }],
    steady: null,
  });

  it('is judged part by part', () => {
    expect(judge(result(1_999, 0, 20)).map(({ reached }) => reached)).toEqual([true, true, true]);
    expect(judge(result(2_001, 1, 20.1)).map(({ reached }) => reached)).toEqual([false, false, false]);
  });

  it('shows verdicts and figures, and no part that was not measured', () => {
    const text = toMarkdown(result(1_500, 0, 15));
    expect(text).toContain('| 1,000 handshakes at once, settled on one core | ≤ 2,000 ms | 1,500 ms | yes |');
    expect(text).toContain('| 100,000 hosts | 15.0 | 1.00 | 1.00 |');
    expect(text).not.toContain('## One active peer');
  });
});
