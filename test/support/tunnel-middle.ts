/**
 * A tunnel whose way leads through a middle that breaks what a test tells it to break:
 *
 *     a --TUN--[10.99.1.1]== mid ==[10.99.1.2  relay :6000  10.99.2.1]== mid ==[10.99.2.2]--TUN-- b
 */
import { fileURLToPath } from 'node:url';
import { Lab, type LinkEnd } from '../../src/lab/namespaces.ts';
import { type Pair, planPair } from '../../src/lab/pair.ts';
import type { Running } from '../../src/lab/process.ts';
import type { RelayFaults, RelayFigures, RelayPlan } from '../../src/lab/relay.ts';
import { type End, type EndOptions, openEnd } from './tunnel-end.ts';

const RELAY = fileURLToPath(new URL('../../dist/lab/relay.js', import.meta.url));
const PORT = 6_000;
const LIFE_SECONDS = 180;
const READY_MS = 5_000;

export interface MiddleTunnel extends AsyncDisposable {
  readonly lab: Lab;
  readonly pair: Pair;
  readonly a: End;
  readonly b: End;
  readonly relay: Running;
  /** Ends the relay and tells what it did. */
  figures(): Promise<RelayFigures>;
  close(): Promise<void>;
}

/** Brings both ends and the relay up; a speaks first. */
export async function openThroughMiddle(
  faults: RelayFaults,
  aOptions: EndOptions = {},
  bOptions: EndOptions = {},
): Promise<MiddleTunnel> {
  const lab = new Lab();
  const ends: End[] = [];
  let relay: Running | null = null;
  const close = async (): Promise<void> => {
    await Promise.all(ends.splice(0).map((end) => end.end('SIGTERM')));
    await relay?.stop();
    lab.close();
  };
  try {
    const pair = planPair(lab);
    const middle = lab.addNamespace('m');
    const toA = lab.connect(pair.a.namespace, middle, { subnet: 1, device: 'mida' });
    const toB = lab.connect(middle, pair.b.namespace, { subnet: 2, device: 'midb' });
    relay = startRelay(faults, pair, toA, toB);
    await relay.waitForOutput(/ready/, READY_MS);
    const endpoint = `${toA[1].address4}:${PORT}`;
    const a = await openEnd(lab, pair.a, { ...aOptions, endpoint });
    ends.push(a);
    const b = await openEnd(lab, pair.b, { ...bOptions, knowsEndpoint: false });
    ends.push(b);
    const figures = async (): Promise<RelayFigures> => {
      relay?.signal('SIGTERM');
      return JSON.parse((await relay?.finished)?.stdout ?? '') as RelayFigures;
    };
    return { lab, pair, a, b, relay, figures, close, [Symbol.asyncDispose]: close };
  } catch (error) {
    await close();
    throw error;
  }
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
