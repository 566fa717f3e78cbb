/**
 * `gigatun up`: brings a tunnel up and stays with it until it ends. Without `--foreground` it starts itself again in the
 * background (`background.ts`), which comes here too, and waits only until that is ready.
 */
import { runCommand } from '../control/command.ts';
import { type LoadedConfig, loadConfig } from '../control/config-load.ts';
import type { LaneChoice, TunnelConfig } from '../control/config-types.ts';
import type { Logger } from '../control/log.ts';
import type { PrivilegeNeeds } from '../control/privileges.ts';
import { runDirectory } from '../control/run-directory.ts';
import { bringUp, type TunnelRequest, type TunnelTools } from '../control/tunnel.ts';
import { chooseLanes } from '../control/tunnel-settings.ts';
import { heapOptions } from '../memory/budget.ts';
import { openUapi } from '../uapi/server.ts';
import { aeadFromEnvironment } from './aead.ts';
import { startInBackground } from './background.ts';
import { EXIT_OK } from './exit-code.ts';
import { say } from './print.ts';
import { isDropWanted, type PrivilegeOptions } from './privilege-options.ts';
import { releaseMemory } from './release-memory.ts';
import { type LogLevels, type Service, type ServiceStart, serve } from './serve.ts';
import { packageVersion } from './version.ts';

export interface UpOptions extends PrivilegeOptions {
  readonly foreground?: true;
  /** Worker threads. */
  readonly lanes?: LaneChoice;
  /** Bytes: cap of resident memory. */
  readonly memory?: number;
  /** Bytes. */
  readonly mtu?: number;
  /** false: book no time, to measure what the books cost. */
  readonly books?: boolean;
}

const LOG_LEVELS: LogLevels = { foreground: 'info', background: 'error' };

export async function up(argument: string, options: UpOptions): Promise<number> {
  if (options.foreground === true) return await serve(LOG_LEVELS, (request) => start(argument, options, request));
  const loaded = loadConfig(argument);
  await startInBackground({
    name: loaded.name,
    nodeArgs: heapFlags(loaded.config, options),
    args: ['up', loaded.path, '--foreground', ...flagsOf(options)],
    log: 'file',
  });
  say(`gigatun: ${loaded.name} is up`);
  return EXIT_OK;
}

function flagsOf(options: UpOptions): string[] {
  const { lanes, memory, books, mtu } = options;
  return [
    ...(isDropWanted(options) ? [] : ['--no-drop-privileges']),
    ...(lanes === undefined ? [] : ['--lanes', `${lanes}`]),
    ...(memory === undefined ? [] : ['--memory', `${memory / 1e6}`]),
    ...(books === false ? ['--no-books'] : []),
    ...(mtu === undefined ? [] : ['--mtu', `${mtu}`]),
  ];
}

/** Under a cap, the main thread's heap has its limit too: it can only be set when a process starts. */
function heapFlags({ settings, peers }: TunnelConfig, options: UpOptions): string[] {
  const capBytes = options.memory ?? settings.memoryCapBytes;
  const lanes = chooseLanes(options.lanes ?? settings.lanes, peers);
  return capBytes === null ? [] : heapOptions(capBytes, { lanes, peers: peers.length });
}

/** A function of its own, so that the configuration, which may be megabytes, is forgotten when the tunnel is up. */
async function start(argument: string, options: UpOptions, request: ServiceStart): Promise<Service> {
  // It loads native code, so it is loaded here.
  const { applyPrivileges, forbidDumps, planPrivileges } = await import('../control/privileges.ts');
  forbidDumps();
  const startedMs = performance.now();
  const loaded = loadConfig(argument);
  const configMs = Math.round(performance.now() - startedMs);
  for (const warning of loaded.warnings) request.channel.report(warning);
  const tunnel = await bringUp(requestOf(loaded, options, request), await loadTools(options, request.log));
  applyPrivileges(planPrivileges(privilegeNeeds(loaded.config, options)), request.log);
  return {
    name: loaded.name,
    fields: { configMs, ...tunnel.phasesMs },
    closed: tunnel.closed,
    close: (end) => tunnel.close(end),
    reload: () => tunnel.reload(),
  };
}

function privilegeNeeds({ listenPort, interface: { hooks } }: TunnelConfig, options: UpOptions): PrivilegeNeeds {
  return {
    listenPort,
    portMayChange: false,
    commands: [...hooks.preDown, ...hooks.postDown],
    drop: isDropWanted(options),
    sudo: process.env.WG_SUDO,
  };
}

function requestOf({ name, path, config }: LoadedConfig, options: UpOptions, request: ServiceStart): TunnelRequest {
  const { channel, log, manager, signal, force } = request;
  return {
    name,
    config,
    load: () => loadConfig(path),
    manager,
    onReloaded: releaseMemory,
    lanes: options.lanes ?? null,
    memoryCapBytes: options.memory ?? null,
    mtu: options.mtu ?? null,
    directory: runDirectory(),
    version: packageVersion(),
    log,
    report: channel.report,
    signal,
    force,
  };
}

/** Native code is loaded here and nowhere before. */
async function loadTools(options: UpOptions, log: Logger): Promise<TunnelTools> {
  const aead = aeadFromEnvironment(process.env.GIGATUN_AEAD);
  const { openDevice } = await import('../device.ts');
  return {
    openDevice: (request) => openDevice({ ...request, aead, bookTime: options.books !== false }),
    openUapi: (name, device, onRemoved) => openUapi({ name, device, onRemoved, log }),
    run: runCommand,
  };
}
