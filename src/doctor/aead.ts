/** AEAD: which back ends this machine has, which one `auto` takes, what a packet costs in each, what the CPU offers. */
import { formatMicroseconds } from '../ledger/table.ts';
import { about, type Finding } from './check.ts';

export interface AeadFacts {
  /** Back end that a tunnel would take now; null where the addon is missing. */
  readonly chosen: string | null;
  /** What GIGATUN_AEAD says, '' for nothing. */
  readonly forced: string;
  readonly backEnds: readonly BackEndFacts[];
  /** As Node names it: 'x64', 'arm64'. */
  readonly architecture: string;
  /** CPU features as the kernel names them. */
  readonly cpuFlags: ReadonlySet<string>;
  /** ID and ID_LIKE of /etc/os-release. */
  readonly systemIds: readonly string[];
}

export interface BackEndFacts {
  readonly name: string;
  readonly available: boolean;
  /** Such as '1.3.0'; null where unknown. */
  readonly version: string | null;
  /** Best measured time to seal a message of MESSAGE_LENGTH bytes with ChaCha20-Poly1305; null where not measured. */
  readonly sealNs: number | null;
}

/** Length of the messages that are sealed to measure: a full packet of the usual MTU, bytes. */
export const MESSAGE_LENGTH = 1_424;

/** By ID of os-release, how the library is installed. */
const INSTALL: ReadonlyMap<string, string> = new Map([
  ['debian', 'apt-get install libipsec-mb1'],
  ['ubuntu', 'apt-get install libipsec-mb1'],
  ['fedora', 'dnf install intel-ipsec-mb'],
  ['rhel', 'dnf install intel-ipsec-mb'],
]);

/** Features that matter, as the kernel names them and as people do. */
const FEATURES: readonly (readonly [string, string])[] = [
  ['aes', 'AES'],
  ['vaes', 'VAES'],
  ['avx2', 'AVX2'],
  ['avx512f', 'AVX-512'],
  ['avx512ifma', 'IFMA'],
  ['pmull', 'PMULL'],
  ['asimd', 'NEON'],
];

export function judgeAead(facts: AeadFacts): Finding[] {
  return [judgeBackEnd(facts), judgeCost(facts.backEnds), judgeFeatures(facts)];
}

/** The command that installs intel-ipsec-mb here. */
export function installCommand(systemIds: readonly string[]): string {
  const known = systemIds.map((id) => INSTALL.get(id)).find((command) => command !== undefined);
  return known ?? 'install intel-ipsec-mb (the library libIPSec_MB.so.1) with your package manager';
}

export function isAvailable({ backEnds }: AeadFacts, name: string): boolean {
  return backEnds.some((backEnd) => backEnd.name === name && backEnd.available);
}

function judgeBackEnd(facts: AeadFacts): Finding {
  const { chosen, forced, backEnds, architecture, systemIds } = facts;
  const version = backEnds.find(({ name }) => name === chosen)?.version ?? null;
  const check = about('aead', 'back end', `${chosen ?? 'none'}${version === null ? '' : ` ${version}`}`);
  if (chosen === null)
    return forced === ''
      ? check.fail('no AEAD back end could be opened', 'build the native addon: npm run build:native')
      : check.fail(`GIGATUN_AEAD=${forced} is not there`, 'unset GIGATUN_AEAD, or install what it names');
  if (chosen === 'ipsec-mb') return check.ok('the fastest that there is');
  if (isAvailable(facts, 'ipsec-mb'))
    return check.warn(`GIGATUN_AEAD=${forced} forces it, though ipsec-mb is there`, 'unset GIGATUN_AEAD');
  if (architecture !== 'x64') return check.ok(`the fastest that there is for ${architecture}`);
  return check.warn(
    'intel-ipsec-mb seals and opens packets in a fifth less time, or better',
    installCommand(systemIds),
  );
}

function judgeCost(backEnds: readonly BackEndFacts[]): Finding {
  const measured = backEnds.flatMap(({ name, sealNs }) => (sealNs === null ? [] : [{ name, sealNs }]));
  const least = Math.min(...measured.map(({ sealNs }) => sealNs));
  if (!Number.isFinite(least)) return about('aead-cost', 'cost', 'not measured').note('no back end could be opened');
  const value = measured.map(({ name, sealNs }) => `${name} ${formatMicroseconds(sealNs)}`).join(', ');
  const gigabits = ((MESSAGE_LENGTH * 8) / least).toFixed(1);
  return about('aead-cost', 'cost', value).ok(
    `a packet of ${MESSAGE_LENGTH} bytes, ChaCha20-Poly1305, measured now: one core seals at most ${gigabits} Gbit/s`,
  );
}

function judgeFeatures({ cpuFlags, architecture }: AeadFacts): Finding {
  const present = FEATURES.filter(([flag]) => cpuFlags.has(flag)).map(([, name]) => name);
  const check = about('cpu-features', 'CPU features', present.length === 0 ? 'none of use' : present.join(' '));
  if (architecture === 'x64' && !cpuFlags.has('avx2'))
    return check.warn('ChaCha20 is computed eight blocks at a time with AVX2, four without', 'use a CPU with AVX2');
  if (present.length === 0) return check.note('the CPU names no feature that speeds ciphers up');
  const fast = cpuFlags.has('vaes') || cpuFlags.has('aes');
  return check.ok(fast ? 'wide ciphers, and AES in hardware' : 'wide ciphers; AES has no hardware here');
}
