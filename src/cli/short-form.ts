/**
 * The command form of userspace WireGuard implementations, which `wg-quick` and others call: `gigatun [-f] IFACE`, the
 * short form of `gigatun daemon [-f] IFACE`.
 */
import { COMMAND_NAMES } from './command-names.ts';

export interface ShortForm {
  /** As it was typed. */
  readonly name: string;
  readonly foreground: boolean;
}

/**
 * Reads the short form; null for any other command line. A command's name is the command; behind `--` it is an interface.
 *
 * @param args without node and the script.
 */
export function readShortForm(args: readonly string[]): ShortForm | null {
  const foreground = args[0] === '-f' || args[0] === '--foreground';
  const rest = foreground ? args.slice(1) : args;
  const isMarked = rest[0] === '--';
  const [name, ...more] = isMarked ? rest.slice(1) : rest;
  if (name === undefined || more.length > 0) return null;
  if (!isMarked && (name.startsWith('-') || COMMAND_NAMES.includes(name))) return null;
  return { name, foreground };
}
