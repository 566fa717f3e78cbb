/**
 * Names of the commands, apart from what defines them: an interface may be called like none of them in the bare short
 * form `gigatun IFACE`, which is told apart before anything else is loaded.
 */
export const COMMAND_NAMES: readonly string[] = [
  'up',
  'down',
  'daemon',
  'reload',
  'show',
  'stats',
  'doctor',
  'demo',
  'bench',
  'lab',
  'genkey',
  'genpsk',
  'pubkey',
  'help',
];
