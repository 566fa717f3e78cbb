/**
 * Start, memory, questions and end of an interface with a crowd, beside one with a single peer: what each peer costs while
 * nothing moves.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { parseConfig } from '../../control/config-file.ts';
import { formatKey, generatePrivateKey } from '../../control/key-text.ts';
import { Lab } from '../namespaces.ts';
import { crowdSections } from './crowd.ts';
import type { ScaleOptions } from './options.ts';
import { openSubject, type Subject } from './subject.ts';

/** Whatever the start left to do is done by then. */
const SETTLE_MS = 3_000;
const IDLE_SECONDS = 10;

export interface StartFigure {
  readonly peers: number;
  readonly prefixes: number;
  readonly configBytes: number;
  /** Of the configuration's text alone, here. */
  readonly parseMs: number;
  /** From the start of the program to its open control socket, routes included; and with one peer. */
  readonly startMs: number;
  readonly startOneMs: number;
  readonly phasesMs: Readonly<Record<string, number>>;
  readonly residentBytes: number;
  readonly residentOneBytes: number;
  /** Difference of the two, shared out. */
  readonly bytesPerPeer: number;
  /** CPU time that the process used in `idleSeconds` without traffic; and with one peer. */
  readonly idleCpuSeconds: number;
  readonly idleOneCpuSeconds: number;
  readonly idleSeconds: number;
  /** `gigatun show` and `gigatun stats`, their own starts included. */
  readonly showMs: number;
  readonly statsMs: number;
  readonly closeMs: number;
}

/** Opens both, side by side, and looks at them. */
export async function measureStart(options: ScaleOptions): Promise<StartFigure> {
  const lab = new Lab();
  try {
    return await measure(lab, options);
  } finally {
    lab.close();
  }
}

async function measure(lab: Lab, { peers, prefixes, program }: ScaleOptions): Promise<StartFigure> {
  const text = interfaceSection() + crowdSections({ peers, prefixes });
  const oneText = interfaceSection() + crowdSections({ peers: 1, prefixes: 1 });
  const parsedMs = time(() => parseConfig(text, 'crowd.conf'));
  const namespace = lab.addNamespace('crowd');
  const one = await openSubject(lab, {
    name: `gto${process.pid}`,
    namespace: lab.addNamespace('one'),
    text: oneText,
    program,
  });
  const many = await openSubject(lab, { name: `gtm${process.pid}`, namespace, text, program });
  await delay(SETTLE_MS);
  const before = [one.usage(), many.usage()] as const;
  await delay(IDLE_SECONDS * 1_000);
  const after = [one.usage(), many.usage()] as const;
  const showMs = await timeAsked(many, 'show');
  const statsMs = await timeAsked(many, 'stats');
  await one.close();
  return {
    peers,
    prefixes,
    configBytes: text.length,
    parseMs: parsedMs,
    startMs: many.startMs,
    startOneMs: one.startMs,
    phasesMs: many.phasesMs,
    residentBytes: after[1].residentBytes,
    residentOneBytes: after[0].residentBytes,
    bytesPerPeer: (after[1].residentBytes - after[0].residentBytes) / (peers - 1),
    idleCpuSeconds: after[1].cpuSeconds - before[1].cpuSeconds,
    idleOneCpuSeconds: after[0].cpuSeconds - before[0].cpuSeconds,
    idleSeconds: IDLE_SECONDS,
    showMs,
    statsMs,
    closeMs: await many.close(),
  };
}

function interfaceSection(): string {
  const key = formatKey(generatePrivateKey());
  return `[Interface]\nPrivateKey = ${key}\nAddress = 10.0.0.1/32, fd10::1/128\nMTU = 1420\n\n`;
}

function time(action: () => unknown): number {
  const startedMs = performance.now();
  action();
  return performance.now() - startedMs;
}

async function timeAsked(subject: Subject, command: string): Promise<number> {
  const startedMs = performance.now();
  await subject.ask(command);
  return performance.now() - startedMs;
}
