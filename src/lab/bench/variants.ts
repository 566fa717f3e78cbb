/** gigatun as it is, and with one thing changed: what a bench compares to say what each of its means is worth. */
import type { GigatunOptions } from '../gigatun-end.ts';

export const VARIANT_NAMES = [
  'gigatun',
  'gigatun-aes',
  'gigatun-no-books',
  'gigatun-no-udp-gso',
  'gigatun-no-udp-gro',
  'gigatun-no-tun-tso',
  'gigatun-no-tun-uso',
  'gigatun-no-offloads',
  'gigatun-openssl',
] as const;
export type VariantName = (typeof VARIANT_NAMES)[number];

export interface Variant extends Pick<GigatunOptions, 'arguments' | 'settings' | 'env'> {
  readonly title: string;
  /** What it lacks, in a sentence: 'without UDP GSO'. */
  readonly lacks: string;
  /** false: its books hold no time. Default true. */
  readonly bookTime?: boolean;
}

export const VARIANTS: Readonly<Record<VariantName, Variant>> = {
  gigatun: { title: 'gigatun', lacks: 'as it is' },
  'gigatun-aes': {
    title: 'gigatun, AES-256-GCM',
    lacks: 'with AES-256-GCM',
    settings: ['Cipher = aes-256-gcm'],
  },
  'gigatun-no-books': {
    title: 'gigatun, books off',
    lacks: 'without its books',
    arguments: ['--no-books'],
    bookTime: false,
  },
  'gigatun-no-udp-gso': without('UDP GSO', 'tun-tso, tun-uso, udp-gro'),
  'gigatun-no-udp-gro': without('UDP GRO', 'tun-tso, tun-uso, udp-gso'),
  'gigatun-no-tun-tso': without('TUN TSO', 'tun-uso, udp-gso, udp-gro'),
  'gigatun-no-tun-uso': without('TUN USO', 'tun-tso, udp-gso, udp-gro'),
  'gigatun-no-offloads': without('any offload', 'none'),
  'gigatun-openssl': {
    title: 'gigatun, AEAD of OpenSSL',
    lacks: 'with the AEAD of OpenSSL',
    env: { GIGATUN_AEAD: 'openssl' },
  },
};

/** What `--offloads` compares: everything on, each off in turn, everything off, and the other AEAD back end. */
export const OFFLOAD_VARIANTS: readonly VariantName[] = VARIANT_NAMES.filter(
  (name) => name !== 'gigatun-no-books' && name !== 'gigatun-aes',
);

export function isVariant(name: string): name is VariantName {
  return Object.hasOwn(VARIANTS, name);
}

function without(what: string, offloads: string): Variant {
  return { title: `gigatun without ${what}`, lacks: `without ${what}`, settings: [`Offloads = ${offloads}`] };
}
