/** AEAD: which back ends this machine has, which one `auto` takes, what a packet costs in each cipher, what the CPU offers. */
import { ratio } from '../ledger/balance.ts';
import { formatMicroseconds, formatNumber } from '../ledger/table.ts';
import type { Cipher } from '../protocol/cipher.ts';
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
  /** Whether tunnels take AES-256-GCM to be fast here: `Cipher = auto` offers it then. */
  readonly hasFastAes: boolean;
  /** ID and ID_LIKE of /etc/os-release. */
  readonly systemIds: readonly string[];
}

export interface BackEndFacts {
  readonly name: string;
  readonly available: boolean;
  /** Such as '1.3.0'; null where unknown. */
  readonly version: string | null;
  /** Best measured time to seal a message of MESSAGE_LENGTH bytes by cipher; null where not measured. */
  readonly sealNs: Readonly<Record<Cipher, number>> | null;
}

/** Length of the messages that are sealed to measure: a full packet of the usual MTU, bytes. */
export const MESSAGE_LENGTH = 1_424;

/** From this factor on AES-256-GCM is clearly faster: worth a setting. */
export const AES_FACTOR_MIN = 1.25;

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
  return [
    judgeBackEnd(facts),
    judgeCost(facts.backEnds, 'chacha20-poly1305'),
    judgeCost(facts.backEnds, 'aes-256-gcm'),
    judgeCipher(facts),
    judgeFeatures(facts),
  ];
}

/** How many times as fast a back end seals in AES-256-GCM as in WireGuard's cipher; null where that was not measured. */
export function aesFactor({ backEnds }: AeadFacts, backEnd: string | null): number | null {
  const sealNs = backEnds.find(({ name }) => name === backEnd)?.sealNs ?? null;
  return sealNs === null ? null : ratio(sealNs['chacha20-poly1305'], sealNs['aes-256-gcm']);
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

/** Findings about what a cipher costs. */
const COSTS: Readonly<Record<Cipher, { readonly id: string; readonly title: string; readonly what: string }>> = {
  'chacha20-poly1305': { id: 'aead-cost', title: 'cost, ChaCha20', what: 'ChaCha20-Poly1305' },
  'aes-256-gcm': { id: 'aead-cost-aes', title: 'cost, AES', what: 'AES-256-GCM' },
};

function judgeCost(backEnds: readonly BackEndFacts[], cipher: Cipher): Finding {
  const { id, title, what } = COSTS[cipher];
  const measured = backEnds.flatMap(({ name, sealNs }) => (sealNs === null ? [] : [{ name, ns: sealNs[cipher] }]));
  const least = Math.min(...measured.map(({ ns }) => ns));
  if (!Number.isFinite(least)) return about(id, title, 'not measured').note('no back end could be opened');
  const value = measured.map(({ name, ns }) => `${name} ${formatMicroseconds(ns)}`).join(', ');
  const gigabits = ((MESSAGE_LENGTH * 8) / least).toFixed(1);
  return about(id, title, value).ok(
    `a packet of ${MESSAGE_LENGTH} bytes, ${what}, measured now: one core seals at most ${gigabits} Gbit/s`,
  );
}

/** Of the back end that a tunnel would take. AES-256-GCM is no fault to be without: most peers do not know it. */
function judgeCipher(facts: AeadFacts): Finding {
  const factor = aesFactor(facts, facts.chosen);
  if (factor === null) return about('cipher', 'fastest cipher', 'unknown').note('no back end could be measured');
  const isAesFaster = factor > 1;
  const times = `${formatNumber(isAesFaster ? factor : 1 / factor, 2)} times as fast`;
  const check = about('cipher', 'fastest cipher', `${isAesFaster ? 'AES-256-GCM' : 'ChaCha20-Poly1305'}, ${times}`);
  const processor = `the processor ${facts.hasFastAes ? 'has' : 'names no'} instructions for AES`;
  if (factor < AES_FACTOR_MIN) return check.ok(`${processor}; AES-256-GCM would gain little or nothing`);
  return check.note(
    `as ChaCha20-Poly1305, the cipher of every WireGuard, both with ${facts.chosen}; ${processor}`,
    `between two gigatuns: #gigatun: Cipher = ${facts.hasFastAes ? 'auto' : 'aes-256-gcm'} in the files of both ends`,
  );
}

function judgeFeatures({ cpuFlags, architecture, hasFastAes }: AeadFacts): Finding {
  const present = FEATURES.filter(([flag]) => cpuFlags.has(flag)).map(([, name]) => name);
  const check = about('cpu-features', 'CPU features', present.length === 0 ? 'none of use' : present.join(' '));
  if (architecture === 'x64' && !cpuFlags.has('avx2'))
    return check.warn('ChaCha20 is computed eight blocks at a time with AVX2, four without', 'use a CPU with AVX2');
  if (present.length === 0) return check.note('the CPU names no feature that speeds ciphers up');
  return check.ok(hasFastAes ? 'wide ciphers, and AES in hardware' : 'wide ciphers; AES has no hardware here');
}
