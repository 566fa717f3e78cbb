/** The stage bench: every stage gets a figure, from the real functions over packets that really pass. */
import { describe, expect, it } from 'vitest';
import { explainAead, explainStages, stagesMarkdown } from '../../../src/lab/bench/stage-report.ts';
import { InboundRounds } from '../../../src/lab/stages/inbound.ts';
import { measureStages, type StageResult, totalOf, type WorkloadFigures } from '../../../src/lab/stages/measure.ts';
import { OutboundRounds } from '../../../src/lab/stages/outbound.ts';
import { Rig } from '../../../src/lab/stages/rig.ts';
import { STAGES, type StageId } from '../../../src/lab/stages/stages.ts';
import { type Spread, Stopwatch } from '../../../src/lab/stages/stopwatch.ts';
import { makeWorkload, STAGE_MTU, WORKLOAD_IDS } from '../../../src/lab/stages/workload.ts';
import { COUNTER } from '../../../src/ledger/catalog.ts';
import { DROP_REASONS } from '../../../src/packet/drop-reason.ts';
import { CIPHERS } from '../../../src/protocol/cipher.ts';

const QUIET = { write() {} };

describe('a round', () => {
  const rounds = WORKLOAD_IDS.flatMap((id) => CIPHERS.map((cipher) => [id, cipher] as const));
  it.each(rounds)('of %s in %s brings every packet out and in again, and drops none', (id, cipher) => {
    const rig = new Rig('openssl', cipher);
    try {
      const watch = new Stopwatch<StageId>();
      const outbound = new OutboundRounds(rig, makeWorkload(id));
      outbound.round(watch);
      const inbound = new InboundRounds(rig, outbound.packets);
      outbound.round(watch);
      inbound.round(watch);
      const { counts, drops } = rig.lane.ledger;
      expect(counts[COUNTER.UDP_TX]).toBe(2 * outbound.packets);
      expect(counts[COUNTER.UDP_RX_UNIQ]).toBe(2 * outbound.packets);
      expect(DROP_REASONS.filter(({ id: reason }) => drops[reason] !== 0)).toEqual([]);
      expect(counts[COUNTER.COALESCED]).toBeGreaterThan(0);
    } finally {
      rig.close();
    }
  });
  it('works on packets that fill the MTU', () => {
    expect(makeWorkload('tcp4').packetLength).toBe(STAGE_MTU);
    expect(makeWorkload('tcp6').packetLength).toBe(STAGE_MTU);
  });
});

describe('the measurement', () => {
  let result: StageResult;
  it('gives a positive, finite figure for every stage, workload, AEAD back end and cipher', async () => {
    result = await measureStages(0.1, QUIET);
    expect(result.workloads.map(({ workload }) => workload)).toEqual([...WORKLOAD_IDS]);
    for (const { stages, aead } of result.workloads) {
      expect(Object.keys(stages)).toEqual(STAGES.map(({ id }) => id));
      const spreads = [...Object.values(stages), ...aead.flatMap(({ encrypt, decrypt }) => [encrypt, decrypt])];
      for (const { median, samples } of spreads) {
        expect(Number.isFinite(median)).toBe(true);
        expect(median).toBeGreaterThan(0);
        expect(samples).toBeGreaterThan(0);
      }
      expect(aead.flatMap(({ name, cipher }) => (name === 'openssl' ? cipher : []))).toEqual(CIPHERS);
      expect(aead[0]).toMatchObject({ encrypt: stages.encrypt, decrypt: stages.decrypt, cipher: 'chacha20-poly1305' });
    }
  });
  it('becomes a table with every stage, and sentences', () => {
    const text = stagesMarkdown(result);
    for (const { title } of STAGES) expect(text).toContain(`| ${title} |`);
    expect(text).toContain('% of that is JavaScript');
    for (const cipher of ['ChaCha20-Poly1305', 'AES-256-GCM'])
      for (const verb of ['seal', 'unseal']) expect(text).toContain(`| openssl, ${cipher}, ${verb} |`);
  });
});

describe('the sentences', () => {
  const spread = (median: number): Spread => ({ median, lowerQuartile: median, upperQuartile: median, samples: 1 });
  const stages = Object.fromEntries(STAGES.map(({ id, isNative }) => [id, spread(isNative ? 500 : 10)]));
  const figures: WorkloadFigures = {
    workload: 'tcp4',
    title: 'TCP, IPv4',
    packetLength: 1_400,
    packetsPerBatch: 100,
    stages: { ...stages, split: spread(40) } as WorkloadFigures['stages'],
    aead: [
      { name: 'ipsec-mb', cipher: 'chacha20-poly1305', encrypt: spread(500), decrypt: spread(500) },
      { name: 'ipsec-mb', cipher: 'aes-256-gcm', encrypt: spread(200), decrypt: spread(300) },
      { name: 'openssl', cipher: 'chacha20-poly1305', encrypt: spread(1_000), decrypt: spread(900) },
      { name: 'openssl', cipher: 'aes-256-gcm', encrypt: spread(400), decrypt: spread(450) },
    ],
  };
  it('give the price of a packet, the share of JavaScript, the dearest stage and the bound', () => {
    expect([totalOf(figures, 'outbound'), totalOf(figures, 'inbound')]).toEqual([590, 540]);
    const text = explainStages([figures]).join(' ');
    expect(text).toContain('takes 590 ns on its way out and 540 ns on its way in; 12 % of that is JavaScript');
    expect(text).toContain('"split: headers of segments" with 40 ns');
    expect(text).toContain('would carry 19.0 Gbit/s');
  });
  it('compare the back ends, or say how to get a second', () => {
    expect(explainAead([figures])[0]).toBe(
      'Sealing a packet of TCP, IPv4 takes 500 ns with ipsec-mb and 1000 ns with openssl, 2.00 times as long.',
    );
    expect(explainAead([{ ...figures, aead: figures.aead.slice(2) }])[0]).toContain('libipsec-mb1');
  });
  it('compare the ciphers of the first back end, with the bound that each would give', () => {
    const [, sentence = ''] = explainAead([figures]);
    expect(sentence).toContain("ipsec-mb takes 200 ns to seal it, 0.40 times as long as in WireGuard's");
    expect(sentence).toContain('would be 32.9 instead of 19.0 Gbit/s'); // 1,400 B in 340 ns inbound, in 590 ns outbound
    expect(explainAead([{ ...figures, aead: figures.aead.slice(0, 1) }])).toHaveLength(1);
  });
});

it('a stopwatch gives the median and the quartiles of its laps', () => {
  const watch = new Stopwatch<'a' | 'b'>();
  for (const ns of [5, 1, 3, 2, 4]) watch.note('a', ns);
  expect(watch.spreadOf('a')).toEqual({ median: 3, lowerQuartile: 2, upperQuartile: 4, samples: 5 });
  expect(watch.spreadOf('b')).toBeNull();
  watch.reset();
  expect(watch.spreadOf('a')).toBeNull();
});
