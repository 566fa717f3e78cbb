/** Texts of the emulator's options as values: times, shares, rates, bursts, blackouts. */
import { quoteValue } from '../../control/config-problems.ts';
import type { Complaint, Reading, ValueReader } from '../../control/config-values.ts';
import type { Blackout, BurstLoss } from './impairments.ts';

const MS_PER_UNIT: Readonly<Record<string, number>> = { us: 0.001, ms: 1, s: 1_000, m: 60_000 };
const BITS_PER_UNIT: Readonly<Record<string, number>> = { bit: 1, kbit: 1e3, mbit: 1e6, gbit: 1e9 };

/** A time with its unit, as ms: `20ms`, `1.5s`; a bare number is ms. */
export const readMs: ValueReader<number> = (text) => {
  const ms = parseMs(text);
  return ms === null ? bad('a time', text, 'as in 20ms, 1.5s, 500us') : { ok: true, value: ms };
};

/** A share of all, 0 to 1: `1%`, `0.01`. A bare 1 is none, for who writes it means a hundredth. */
export const readShare: ValueReader<number> = (text) => {
  const share = parseShare(text);
  return share === null
    ? bad('a share from 0 to 100%', text, 'as in 1%, 0.5% or 0.01; 1 and more need a %')
    : { ok: true, value: share };
};

/** Bits per second: `100mbit`, `1gbit`, `512kbit`. */
export const readRate: ValueReader<number> = (text) => {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)\s*([kmg]?bit)(?:\/s)?$/i.exec(text) ?? [];
  const factor = BITS_PER_UNIT[unit.toLowerCase()];
  if (number === undefined || factor === undefined) return bad('a rate', text, 'as in 100mbit, 512kbit, 1gbit');
  return { ok: true, value: Number(number) * factor };
};

/** `5%/8`: a share of all datagrams, lost in bursts of so many in the mean. */
export const readBurst: ValueReader<BurstLoss> = (text) => {
  const [shareText = '', lengthText = ''] = text.split('/');
  const share = parseShare(shareText);
  const isLength = /^\d+(\.\d+)?$/.test(lengthText);
  if (share === null || !isLength) return bad('a share and a mean length', text, 'as in 5%/8');
  return { ok: true, value: { share, length: Number(lengthText) } };
};

/** `5s+2s`: from 5 s on for 2 s; `5s+2s/20s`: and again every 20 s. */
export const readBlackout: ValueReader<Blackout> = (text) => {
  const [, start = '', length = '', every] = /^([^+/]+)\+([^+/]+)(?:\/([^+/]+))?$/.exec(text) ?? [];
  const startMs = parseMs(start);
  const lengthMs = parseMs(length);
  const everyMs = every === undefined ? null : parseMs(every);
  if (startMs === null || lengthMs === null || (every !== undefined && everyMs === null))
    return bad('START+LENGTH or START+LENGTH/EVERY', text, 'as in 5s+2s or 5s+500ms/20s');
  return { ok: true, value: { startMs, lengthMs, everyMs } };
};

function parseMs(text: string): number | null {
  const [, number, unit = 'ms'] = /^(\d+(?:\.\d+)?)\s*(us|ms|s|m)?$/.exec(text.trim()) ?? [];
  return number === undefined ? null : Number(number) * (MS_PER_UNIT[unit] ?? 1);
}

function parseShare(text: string): number | null {
  const [, number, percent] = /^(\d+(?:\.\d+)?)\s*(%)?$/.exec(text.trim()) ?? [];
  if (number === undefined) return null;
  if (percent === undefined) return Number(number) < 1 ? Number(number) : null;
  return Number(number) <= 100 ? Number(number) / 100 : null;
}

function bad(expected: string, text: string, hint: string): Reading<never> {
  const complaint: Complaint = { expected, got: quoteValue(text), hint };
  return { ok: false, complaint };
}
