/**
 * A tunnel whose way leads through a middle that breaks what a test tells it to break:
 *
 *     a --TUN--[10.99.1.1]== mid ==[10.99.1.2  relay :6000  10.99.2.1]== mid ==[10.99.2.2]--TUN-- b
 */
import { fileURLToPath } from 'node:url';
import type { LinkEnd } from '../../src/lab/namespaces.ts';
import { type Pair, planPair } from '../../src/lab/pair.ts';
import type { Running } from '../../src/lab/process.ts';
import type { RelayFaults, RelayFigures, RelayPlan } from '../../src/lab/relay.ts';
import { type EndOptions, openEnds, type Tunnel } from './tunnel-end.ts';
import { openScene } from './tunnel-scene.ts';

const RELAY = fileURLToPath(new URL('../../dist/lab/relay.js', import.meta.url));
const PORT = 6_000;
const LIFE_SECONDS = 180;
const READY_MS = 5_000;

export interface MiddleTunnel extends Tunnel {
  readonly relay: Running;
  /** Ends the relay and tells what it did. */
  figures(): Promise<RelayFigures>;
}

/** Brings both ends and the relay up; a speaks first. */
export async function openThroughMiddle(
  faults: RelayFaults,
  aOptions: EndOptions = {},
  bOptions: EndOptions = {},
): Promise<MiddleTunnel> {
  return await openScene(async (lab, onClose) => {
    const pair = planPair(lab);
    const middle = lab.addNamespace('m');
    const toA = lab.connect(pair.a.namespace, middle, { subnet: 1, device: 'mida' });
    const toB = lab.connect(middle, pair.b.namespace, { subnet: 2, device: 'midb' });
    const relay = startRelay(faults, pair, toA, toB);
    onClose(() => relay.stop());
    await relay.waitForOutput(/ready/, READY_MS);
    const endpoint = `${toA[1].address4}:${PORT}`;
    const ends = await openEnds(lab, pair, { ...aOptions, endpoint }, { ...bOptions, knowsEndpoint: false }, onClose);
    const figures = async (): Promise<RelayFigures> => {
      relay.signal('SIGTERM');
      return JSON.parse((await relay.finished).stdout) as RelayFigures;
    };
    return { pair, ...ends, relay, figures };
  });
}

function startRelay(
  faults: RelayFaults,
  pair: Pair,
  [aEnd, middle]: readonly [LinkEnd, LinkEnd],
  [, bEnd]: readonly [LinkEnd, LinkEnd],
): Running {
  const plan: RelayPlan = {
    port: PORT,
    a: `${aEnd.address4}:${pair.a.listenPort}`,
    b: `${bEnd.address4}:${pair.b.listenPort}`,
    seconds: LIFE_SECONDS,
    faults,
  };
  const command = [process.execPath, RELAY, JSON.stringify(plan)];
  return middle.namespace.start(command, { timeoutMs: (LIFE_SECONDS + 10) * 1_000 });
}
