/**
 * Values of the UAPI, from the bytes behind `=`: exactly what wireguard-go takes, no more. Keys go from bytes to bytes,
 * never through a text. Whatever is refused is refused with EINVAL and a sentence that holds no key.
 */
import { quoteValue } from '../control/config-problems.ts';
import type { IpPrefix, NumericEndpoint } from '../control/config-types.ts';
import { isInterfaceName } from '../control/interface-name.ts';
import { maskPrefix, parseAddress } from '../control/ip-text.ts';
import { KEY_LENGTH } from '../control/key-text.ts';
import { invalid } from './errno.ts';

export const PORT_MAX = 65_535;
export const SECONDS_MAX = 65_535;
export const WORD_MAX = 0xffff_ffff;

const NO_DIGIT = 255;
/** Value of each byte as a hexadecimal digit of either case. */
const DIGITS: Uint8Array = digitValues();

/**
 * Reads a key of 64 hexadecimal digits; a new array, the caller's to zero.
 *
 * @param name of the line, for the error.
 */
export function readHexKey(name: string, value: Uint8Array): Uint8Array {
  const key = new Uint8Array(KEY_LENGTH);
  let wrong = value.length === 2 * KEY_LENGTH ? 0 : 1;
  for (let at = 0; at < KEY_LENGTH && wrong === 0; at += 1) {
    const high = DIGITS[value[2 * at]];
    const low = DIGITS[value[2 * at + 1]];
    wrong |= (high | low) & 0xf0;
    key[at] = (high << 4) | low;
  }
  if (wrong === 0) return key;
  key.fill(0);
  const got = value.length === 2 * KEY_LENGTH ? 'others' : `${value.length} bytes`;
  throw invalid(`expected ${name} of ${2 * KEY_LENGTH} hexadecimal digits, got ${got}`);
}

/** Whether a key is the one that stands for none. */
export function isZeroKey(key: Uint8Array): boolean {
  return key.reduce((bits, byte) => bits | byte, 0) === 0;
}

/** Reads a decimal number of digits alone, 0 to `most`. */
export function readNumber(name: string, text: string, most: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value <= most) return value;
  throw invalid(`expected ${name} from 0 to ${most}, got ${quoteValue(text)}`);
}

/** Reads the one value that a switch may have. */
export function readTrue(name: string, text: string): true {
  if (text === 'true') return true;
  throw invalid(`expected ${name}=true, got ${quoteValue(text)}`);
}

/** Reads `ADDRESS:PORT`, the address numeric and, if it is IPv6, in brackets, there with a `%zone` where it has one. */
export function readEndpoint(text: string): NumericEndpoint {
  const [, bracketed, plain, portText = ''] = /^(?:\[([^\]]*)\]|([\d.]+)):(\d+)$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? '';
  const port = Number(portText);
  const isAddress = bracketed === undefined ? parseAddress(address) !== null : isIpv6WithZone(address);
  if (isAddress && port >= 1 && port <= PORT_MAX) return { address, port };
  throw invalid(`expected an endpoint as 192.0.2.1:51820 or [2001:db8::1]:51820, got ${quoteValue(text)}`);
}

function isIpv6WithZone(text: string): boolean {
  const [address = '', zone, ...rest] = text.split('%');
  if (parseAddress(address)?.length !== 16 || rest.length > 0) return false;
  return zone === undefined || isInterfaceName(zone);
}

/** Reads `ADDRESS/LENGTH`, both wanted; host bits are cleared. */
export function readPrefix(text: string): IpPrefix {
  const slash = text.indexOf('/');
  const address = slash === -1 ? null : parseAddress(text.slice(0, slash));
  const lengthText = text.slice(slash + 1);
  const length = /^(?:0|[1-9]\d{0,2})$/.test(lengthText) ? Number(lengthText) : Number.NaN;
  if (address !== null && length <= address.length * 8) return maskPrefix({ address, length });
  throw invalid(`expected a prefix as 192.0.2.0/24 or 2001:db8::/32, got ${quoteValue(text)}`);
}

function digitValues(): Uint8Array {
  const values = new Uint8Array(256).fill(NO_DIGIT);
  for (const digits of ['0123456789abcdef', '0123456789ABCDEF']) {
    for (let value = 0; value < digits.length; value += 1) values[digits.charCodeAt(value)] = value;
  }
  return values;
}
