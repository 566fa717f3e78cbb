/** The AEAD back end that somebody asks for. */
import { GigatunError } from '../errors.ts';

/** Reads GIGATUN_AEAD: the AEAD back end to use, or nothing for the fastest that is there. */
export function aeadFromEnvironment(text: string | undefined): 'auto' | 'openssl' | 'ipsec-mb' {
  const wanted = text ?? 'auto';
  if (wanted === 'auto' || wanted === '' || wanted === 'openssl' || wanted === 'ipsec-mb')
    return wanted === '' ? 'auto' : wanted;
  throw new GigatunError('CONFIG', `expected GIGATUN_AEAD to be auto, openssl or ipsec-mb, got '${wanted}'`);
}
