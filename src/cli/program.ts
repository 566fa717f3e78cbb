/**
 * The command line: names, options, help and examples of all commands. What a command does is loaded only when it is
 * called, so that `gigatun genkey` starts as fast as it should and only `up`, `daemon`, `demo`, `bench`, `lab` and `doctor` ever
 * load native code.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import {
  readEndpoint,
  readLaneChoice,
  readLanes,
  readMemory,
  readMtu,
  type ValueReader,
} from '../control/config-values.ts';
import { readBlackout, readBurst, readMs, readRate, readShare } from '../lab/emulator/values.ts';
import type { DaemonOptions } from './daemon.ts';
import { EXIT_MEANINGS, EXIT_OK, EXIT_USAGE, exitCodeOf } from './exit-code.ts';
import type { LabOptions } from './lab.ts';
import { endWithReader, sayError } from './print.ts';
import type { UpOptions } from './up.ts';
import { packageVersion } from './version.ts';

const EXAMPLES = `
Examples:
  gigatun genkey | tee private.key | gigatun pubkey > public.key
  gigatun up ./wg0.conf          bring wg0 up, in the background
  gigatun show                   peers, handshakes, transfer
  gigatun stats wg0 --watch      where each microsecond goes, every second
  gigatun doctor                 what limits throughput here, and what to change
  gigatun reload wg0             apply its file as it is now
  gigatun down wg0
  gigatun wg0                    an empty interface, for wg and wg-quick to configure
  gigatun demo                   a tunnel between two namespaces, measured
  gigatun bench --stages         what each stage costs on this machine
  gigatun lab --listen 6000 --to 10.0.0.2:51820 --delay 10ms --loss 1%
                                 a bad link, to see what a tunnel makes of it
`;

const ENVIRONMENT = `
Environment:
  LOG_LEVEL                        verbose, debug, info, warn, error or silent
  GIGATUN_RUN_DIR                  control sockets and logs (default /run/gigatun)
  WG_SUDO                          1: keep all privileges while a tunnel runs
  GIGATUN_AEAD                     auto, openssl or ipsec-mb (default auto: the fastest that is there)
  WG_ENDPOINT_RESOLUTION_RETRIES   tries to look an endpoint's name up (default 15, or infinity)
  NOTIFY_SOCKET                    set by systemd, which is told of the start, of reloads and of the end

Environment of gigatun INTERFACE:
  GIGATUN_LANES, GIGATUN_MEMORY, GIGATUN_OFFLOADS, GIGATUN_ANNOUNCE, GIGATUN_TX_QUEUE_LENGTH
                                   as the settings of a file behind #gigatun:
  WG_PROCESS_FOREGROUND=1          as --foreground
  WG_TUN_FD, WG_UAPI_FD            numbers of open descriptors to use: the TUN, the listening UAPI socket
`;

/**
 * Runs one command line.
 *
 * @param args without node and the script.
 * @returns the exit code; everything has been said.
 */
export async function runProgram(args: readonly string[]): Promise<number> {
  endWithReader();
  let exitCode = EXIT_OK;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT_OK : EXIT_USAGE;
    sayError(error);
    return exitCodeOf(error);
  }
  return exitCode;
}

/** Builds all commands; each tells `finish` its exit code. */
function createProgram(finish: (exitCode: number) => void): Command {
  const program = new Command('gigatun')
    .description('A fast userspace WireGuard tunnel that shows where the time goes.')
    .usage('[options] [command]\n       gigatun [-f] [--] INTERFACE')
    .version(`gigatun ${packageVersion()}`, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', `${EXAMPLES}${exitCodeHelp()}${ENVIRONMENT}`)
    .showHelpAfterError('(gigatun --help lists the commands)')
    .exitOverride();
  addTunnelCommands(program, finish);
  addFigureCommands(program, finish);
  addBenchCommand(program, finish);
  addLabCommand(program, finish);
  addKeyCommands(program, finish);
  return program;
}

function exitCodeHelp(): string {
  const lines = EXIT_MEANINGS.map(({ code, meaning }) => `  ${code}  ${meaning}\n`);
  return `\nExit codes:\n${lines.join('')}`;
}

function addTunnelCommands(program: Command, finish: (exitCode: number) => void): void {
  program
    .command('up')
    .summary('bring a tunnel up')
    .description(
      'Brings a tunnel up from a wg-quick file: device, addresses, MTU, routes, name servers, hooks. Returns when the ' +
        'tunnel is ready; on any failure nothing of it remains. Settings beyond WireGuard (Lanes, Cipher, Copies, Retransmit, ' +
        'Fec, Path, ...) stand in the file behind #gigatun: and are listed in docs/cli.md; docs/histories.md says which ' +
        'suit a bad link, or several.',
    )
    .argument('<config>', 'path of NAME.conf, or NAME for /etc/gigatun/NAME.conf or /etc/wireguard/NAME.conf')
    .option('-f, --foreground', 'stay in the foreground and log to stderr')
    .option(
      '--lanes <n>',
      'worker threads that move packets, or auto (default: #gigatun: Lanes, else 1)',
      readerOption(readLaneChoice),
    )
    .option('--memory <mb>', 'cap of resident memory (default: #gigatun: Memory, else none)', readerOption(readMemory))
    .option('--mtu <bytes>', 'largest inner packet (default: MTU, else derived from the routes)', readerOption(readMtu))
    .option('--no-drop-privileges', 'keep all capabilities while the tunnel runs (as WG_SUDO=1 does)')
    .addOption(new Option('--disable-drop-privileges').hideHelp())
    .addOption(new Option('--no-books', 'book no time, to measure what the books cost').hideHelp())
    .addHelpText('after', '\nExamples:\n  gigatun up ./wg0.conf\n  LOG_LEVEL=debug gigatun up -f --lanes 2 wg0\n')
    .action(async (config: string, options: UpOptions) => finish(await (await import('./up.ts')).up(config, options)));
  program
    .command('down')
    .summary('take a tunnel down')
    .description('Takes a tunnel down and returns when its interface, routes and rules are gone.')
    .argument('<interface>', 'interface name, or the path of its NAME.conf')
    .addHelpText('after', '\nExample:\n  gigatun down wg0\n')
    .action(async (name: string) => finish(await (await import('./down.ts')).down(name)));
  addReloadCommand(program, finish);
  addDaemonCommand(program, finish);
}

function addReloadCommand(program: Command, finish: (exitCode: number) => void): void {
  program
    .command('reload')
    .summary('apply a changed file to a running tunnel')
    .description(
      'Reads the file of a running tunnel again and applies what differs: keys, port, mark, peers, addresses, routes, ' +
        'rules, MTU, name servers. Sessions of peers that stay are kept; hooks are not run. On any failure nothing is changed.',
    )
    .argument('<interface>', 'interface name, or the path of its NAME.conf')
    .option('-n, --dry-run', 'show what would change, and change nothing')
    .option('--json', 'print JSON')
    .addHelpText('after', '\nExamples:\n  gigatun reload --dry-run wg0\n  gigatun reload wg0\n')
    .action(async (name: string, options: { dryRun?: true; json?: true }) => {
      const { reload } = await import('./reload.ts');
      finish(await reload(name, { dryRun: options.dryRun === true, json: options.json === true }));
    });
}

function addDaemonCommand(program: Command, finish: (exitCode: number) => void): void {
  program
    .command('daemon')
    .summary('open an interface for wg and wg-quick to configure')
    .description(
      'Opens an interface without keys, peers and addresses, which wg and wg-quick configure over its UAPI socket, as they ' +
        'do with wireguard-go. Returns when both are there. The short form, which wg-quick calls, is: gigatun [-f] INTERFACE; ' +
        'an interface that is called like a command needs the long one, or: gigatun -f INTERFACE, gigatun -- INTERFACE.',
    )
    .argument('<interface>', 'interface name')
    .option('-f, --foreground', 'stay in the foreground and log to stderr')
    .option(
      '--lanes <n>',
      'worker threads that move packets, or auto (default: GIGATUN_LANES, else 1)',
      readerOption(readLanes),
    )
    .option('--memory <mb>', 'cap of resident memory (default: GIGATUN_MEMORY, else none)', readerOption(readMemory))
    .option('--no-drop-privileges', 'keep all capabilities while the interface is there (as WG_SUDO=1 does)')
    .addOption(new Option('--disable-drop-privileges').hideHelp())
    .addHelpText(
      'after',
      '\nExamples:\n  WG_QUICK_USERSPACE_IMPLEMENTATION=gigatun wg-quick up wg0\n  gigatun wg0 && wg setconf wg0 wg0.conf\n',
    )
    .action(async (name: string, options: DaemonOptions) =>
      finish(await (await import('./daemon.ts')).daemon(name, options)),
    );
}

function addFigureCommands(program: Command, finish: (exitCode: number) => void): void {
  program
    .command('show')
    .summary('show interfaces and their peers')
    .description(
      'Shows interfaces and peers: endpoints, latest handshakes, transfer, allowed IPs; paths, and what was lost, where anything is sent more than once.',
    )
    .argument('[interface]', 'only this one')
    .option('--json', 'print JSON: an object for one interface, an array for all')
    .addHelpText('after', '\nExamples:\n  gigatun show\n  gigatun show wg0 --json\n')
    .action(async (name: string | undefined, options: { json?: true }) =>
      finish(await (await import('./show.ts')).show(name ?? null, options.json === true)),
    );
  program
    .command('stats')
    .summary('show where the time goes')
    .description(
      'Prints the ledger: time per activity and packet, packets per system call, drops, and the balance; and, as `show`, paths and losses.',
    )
    .argument('<interface>', 'interface name')
    .option('--json', 'print JSON; with --watch one object a line')
    .option('--per-lane', 'print each lane before the total (default with several lanes)')
    .option('-w, --watch [seconds]', 'repeat with the figures of each interval (default 1 second)', watchOption)
    .addHelpText(
      'after',
      '\nExamples:\n  gigatun stats wg0\n  gigatun stats wg0 --watch 5\n  gigatun stats wg0 --json\n',
    )
    .action(async (name: string, options: { json?: true; perLane?: true; watch?: true | number }) => {
      const { stats } = await import('./stats.ts');
      const watchSeconds = options.watch === true ? 1 : (options.watch ?? null);
      finish(await stats(name, { json: options.json === true, perLane: options.perLane === true, watchSeconds }));
    });
  program
    .command('doctor')
    .summary('say what limits throughput, and what to change')
    .description(
      'Looks at this machine and its running tunnels: what they give, what they use, what limits throughput most, and ' +
        'what to change. Exit code 0: a tunnel can run, perhaps with warnings; 1: something fails.',
    )
    .argument('[interface]', 'only this tunnel; without it, all that run')
    .option('--json', 'print one JSON object')
    .option('-w, --watch <seconds>', 'how long cores and tunnels are watched, at most 60', doctorWatchOption, 1)
    .addHelpText('after', '\nExamples:\n  gigatun doctor\n  gigatun doctor wg0 --watch 5\n  gigatun doctor --json\n')
    .action(async (name: string | undefined, options: { json?: true; watch: number }) => {
      const { doctor } = await import('./doctor.ts');
      finish(await doctor(name ?? null, options.watch, options.json === true));
    });
  program
    .command('demo')
    .summary('measure a tunnel between two namespaces')
    .description(
      'Builds two namespaces with a tunnel between them, sends TCP through it each way, and shows the books.',
    )
    .option('--seconds <n>', 'length of each of the two TCP phases', integerOption(1, 3_600), 5)
    .option('--lanes <n>', 'worker threads of each end, or auto', readerOption(readLanes), 1)
    .option('--ipv6', 'IPv6 inside the tunnel')
    .option('--json <file>', 'write all figures to a file')
    .addHelpText('after', '\nExample:\n  gigatun demo --seconds 10 --json demo.json\n')
    .action(async (options: { seconds: number; lanes: number; ipv6?: true; json?: string }) =>
      finish(
        await (await import('./demo.ts')).demo({ ...options, ipv6: options.ipv6 === true, json: options.json ?? null }),
      ),
    );
}

/** The bench reads its own arguments, help included: `npm run bench` has them, too. */
function addBenchCommand(program: Command, finish: (exitCode: number) => void): void {
  program
    .command('bench')
    .summary('measure gigatun on this machine, side by side with other tunnels')
    .usage('[options]')
    .argument('[options...]')
    .helpOption(false)
    .allowUnknownOption()
    .action(async (_args: unknown, _options: unknown, command: Command) =>
      finish(await (await import('./bench.ts')).bench(command.args)),
    );
}

function addLabCommand(program: Command, finish: (exitCode: number) => void): void {
  const { ms, share } = { ms: readerOption(readMs), share: readerOption(readShare) };
  program
    .command('lab')
    .summary('emulate a bad link between two ends of a tunnel')
    .description(
      'Relays UDP datagrams between whoever sends to a port and one target, as a link with delay, loss, bursts, reordering, ' +
        'duplication, a rate limit and blackouts would, in both directions. One end of a tunnel has the emulator as its ' +
        'endpoint. It answers everybody who sends to its port: run it where only you can reach it.',
    )
    .requiredOption('--listen <port>', 'UDP port to listen on', integerOption(1, 65_535))
    .requiredOption('--to <host:port>', 'the target', readerOption(readEndpoint))
    .option('--from <host:port>', 'the client (default: whoever sent last)', readerOption(readEndpoint))
    .option('--delay <time>', 'one-way delay: 10ms', ms)
    .option('--jitter <time>', 'up to so much more delay, in order', ms)
    .option('--loss <share>', 'independent loss: 1%', share)
    .option(
      '--burst <share/length>',
      'loss in bursts, share and mean length in datagrams: 5%/8',
      readerOption(readBurst),
    )
    .option('--reorder <share>', 'share of datagrams that come late', share)
    .option('--reorder-by <time>', 'how late (default 5ms)', ms)
    .option('--duplicate <share>', 'share of datagrams that come twice', share)
    .option('--rate <rate>', 'limit: 100mbit', readerOption(readRate))
    .option(
      '--overhead <bytes>',
      'what each datagram weighs beside its payload (default 28: IPv4, UDP)',
      integerOption(0, 256),
    )
    .option('--queue <time>', 'longest wait for the rate (default 50ms)', ms)
    .option(
      '--blackout <when>',
      'nothing passes: START+LENGTH[/EVERY], as in 5s+2s/20s; repeatable',
      collect(readBlackout),
      [],
    )
    .option('--plan <file>', 'JSON with what differs between the directions: {"toTarget": {…}, "toClient": {…}}')
    .option('--seed <n>', 'of all chance: the same seed, the same losses', integerOption(0, 999_999_999), 1)
    .option('--seconds <n>', 'end by itself (default: when it is interrupted)', integerOption(1, 86_400))
    .option('--json', 'print what it did as JSON')
    .addHelpText(
      'after',
      '\nSIGUSR1 cuts the link, SIGUSR2 mends it.\n\nExamples:\n' +
        '  gigatun lab --listen 6000 --to 10.0.0.2:51820 --delay 10ms --loss 1%\n' +
        '  gigatun lab --listen 6000 --to 10.0.0.2:51820 --burst 5%/8 --rate 50mbit --queue 100ms\n',
    )
    .action(async (options: Omit<LabOptions, 'seconds' | 'json'> & { seconds?: number; json?: true }) => {
      const { seconds = null, json } = options;
      finish(await (await import('./lab.ts')).lab({ ...options, seconds, json: json === true }));
    });
}

function addKeyCommands(program: Command, finish: (exitCode: number) => void): void {
  program
    .command('genkey')
    .summary('make a private key')
    .description('Prints a new private key.')
    .addHelpText('after', '\nExample:\n  (umask 077; gigatun genkey > private.key)\n')
    .action(async () => finish((await import('./genkey.ts')).genkey()));
  program
    .command('genpsk')
    .summary('make a preshared key')
    .description('Prints a new preshared key.')
    .action(async () => finish((await import('./genpsk.ts')).genpsk()));
  program
    .command('pubkey')
    .summary('turn a private key into its public key')
    .description('Reads a private key from standard input and prints its public key.')
    .addHelpText('after', '\nExample:\n  gigatun pubkey < private.key\n')
    .action(async () => finish(await (await import('./pubkey.ts')).pubkey()));
}

/** An option whose value is read like a configuration value. */
function readerOption<T>(read: ValueReader<T>): (text: string) => T {
  return (text) => {
    const reading = read(text);
    if (reading.ok) return reading.value;
    const { expected, got, hint } = reading.complaint;
    throw new InvalidArgumentError(`Expected ${expected}, got ${got}; ${hint}.`);
  };
}

/** An option that may stand several times. */
function collect<T>(read: ValueReader<T>): (text: string, before: readonly T[]) => readonly T[] {
  const readOne = readerOption(read);
  return (text, before) => [...before, readOne(text)];
}

function integerOption(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN;
    if (value >= least && value <= most) return value;
    throw new InvalidArgumentError(`Expected a number from ${least} to ${most}.`);
  };
}

/** A connection to a control socket may be silent for two minutes. */
function doctorWatchOption(text: string): number {
  const seconds = watchOption(text);
  if (seconds <= 60) return seconds;
  throw new InvalidArgumentError('Expected seconds from 0.1 to 60.');
}

function watchOption(text: string): number {
  const seconds = /^\d{1,4}(\.\d{1,3})?$/.test(text) ? Number(text) : Number.NaN;
  if (seconds >= 0.1) return seconds;
  throw new InvalidArgumentError('Expected seconds from 0.1 to 9999; name the interface before --watch.');
}
