/**
 * The command form of userspace WireGuard implementations, which `wg-quick` and others call: `gigatun [-f] IFACE`, the
 * short form of `gigatun daemon [-f] IFACE`. `--disable-drop-privileges` is what others of them take, too.
 */
import { COMMAND_NAMES } from './command-names.ts';

export interface ShortForm {
  /** As it was typed. */
  readonly name: string;
  readonly foreground: boolean;
  readonly disableDropPrivileges: boolean;
}

const FOREGROUND: readonly string[] = ['-f', '--foreground'];
const KEEP_PRIVILEGES = '--disable-drop-privileges';

/**
 * Reads the short form; null for any other command line. A command's name alone is the command; behind one of these options,
 * which no command has before its name, or behind `--`, it is an interface.
 *
 * @param args without node and the script.
 */
export function readShortForm(args: readonly string[]): ShortForm | null {
  const isOption = (text: string): boolean => FOREGROUND.includes(text) || text === KEEP_PRIVILEGES;
  const count = args.findIndex((text) => !isOption(text));
  const options = args.slice(0, Math.max(count, 0));
  const rest = args.slice(options.length);
  const isMarked = rest[0] === '--';
  const [name, ...more] = isMarked ? rest.slice(1) : rest;
  if (name === undefined || more.length > 0) return null;
  if (!isMarked && name.startsWith('-')) return null;
  if (!isMarked && options.length === 0 && COMMAND_NAMES.includes(name)) return null;
  const foreground = options.some((text) => FOREGROUND.includes(text));
  return { name, foreground, disableDropPrivileges: options.includes(KEEP_PRIVILEGES) };
}
