/** Clock: what reading it costs (the books read it at each switch of activity), and whether its date can be believed. */
import { about, type Finding } from './check.ts';

export interface ClockFacts {
  /** Such as 'tsc'; null where the kernel does not tell. */
  readonly source: string | null;
  /** Other sources that the kernel offers. */
  readonly available: readonly string[];
  /** Best measured time of one reading, nanoseconds. */
  readonly readNs: number;
  /** CLOCK_REALTIME, milliseconds since the epoch. */
  readonly realMs: number;
  /** Bits that the kernel's pool says it holds; null where unknown. */
  readonly entropyBits: number | null;
}

/** A reading that stays in user space (vDSO) takes some 25 to 60 ns from JavaScript; one that enters the kernel, 200 and more. */
const READ_NS_MAX = 200;
/** No gigatun existed before: such a clock has not been set, and peers refuse timestamps older than those they know. */
const OLDEST_MS: number = Date.UTC(2024, 0, 1);
const NEWEST_MS: number = Date.UTC(2100, 0, 1);
/** What the kernel's generator needs to be seeded. */
const ENTROPY_BITS_MIN = 128;

export function judgeClock(facts: ClockFacts): Finding[] {
  return [judgeCost(facts), judgeDate(facts.realMs), judgeEntropy(facts.entropyBits)];
}

function judgeCost({ source, available, readNs }: ClockFacts): Finding {
  const check = about('clock-source', 'source', `${source ?? 'unknown'}, ${Math.round(readNs)} ns a reading`);
  if (readNs <= READ_NS_MAX) return check.ok('read without entering the kernel, twelve times a batch');
  const better = available.find((name) => name === 'tsc' && name !== source);
  return check.warn(
    'each reading enters the kernel; the books read it at each switch of activity',
    better === undefined
      ? 'ask the host for a clock that virtual machines can read (tsc, kvm-clock)'
      : `echo ${better} > /sys/devices/system/clocksource/clocksource0/current_clocksource`,
  );
}

function judgeDate(realMs: number): Finding {
  const known = Number.isFinite(realMs) && Math.abs(realMs) <= 8.64e15;
  const value = known ? new Date(realMs).toISOString().slice(0, 16).replace('T', ' ') : 'none';
  const check = about('clock-date', 'date', known ? `${value} UTC` : value);
  const advice = 'set the clock, and keep it by NTP (systemd-timesyncd, chrony)';
  if (!known || realMs < OLDEST_MS)
    return check.fail('handshakes carry the time, and peers refuse one older than the last they saw', advice);
  if (realMs >= NEWEST_MS)
    return check.fail('once it is set right, peers refuse handshakes until it is this late again', advice);
  return check.ok('handshakes carry the time, which must grow');
}

function judgeEntropy(bits: number | null): Finding {
  const check = about('entropy', 'random numbers', bits === null ? 'unknown' : `${bits} bits`);
  if (bits === null || bits >= ENTROPY_BITS_MIN) return check.ok('keys are drawn from the kernel');
  return check.note("the kernel's pool is not full: a key may wait for it", 'give the machine a virtio-rng device');
}
