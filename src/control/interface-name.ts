/** The one rule for interface names: what the kernel takes and what is safe in a path, a log line and a nftables table. */

const NAME_PATTERN = /^[a-zA-Z0-9_=+.-]{1,15}$/;

/** The rule in words, for error texts. */
export const INTERFACE_NAME_RULE = '1 to 15 of the characters a-z A-Z 0-9 _ = + . -';

/** Whether a text may be an interface name. `.` and `..` may not: the kernel refuses them, and so do paths. */
export function isInterfaceName(text: string): boolean {
  return NAME_PATTERN.test(text) && text !== '.' && text !== '..';
}
