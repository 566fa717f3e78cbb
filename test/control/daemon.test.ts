/** A daemon over a device and a UAPI that are none: it is open whole or not at all, whoever ends it and when. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { ControlClient } from '../../src/control/control-client.ts';
import { type DaemonTools, openDaemon } from '../../src/control/daemon.ts';
import type { TunnelDevice, TunnelEnd } from '../../src/control/tunnel.ts';
import { GigatunError } from '../../src/errors.ts';
import { keptLog, rejectionOf, temporaryDirectory } from './support/fakes.ts';

class Scene {
  /** What happened, in order. */
  readonly events: string[] = [];
  readonly directory: string = join(temporaryDirectory(), 'run');
  readonly stop: AbortController = new AbortController();
  endDevice: (end: TunnelEnd) => void = () => undefined;
  removeSocket: () => void = () => undefined;

  open(tools: Partial<DaemonTools<TunnelDevice>> = {}): ReturnType<typeof openDaemon> {
    const request = {
      name: 'wg0',
      directory: this.directory,
      version: '1',
      log: keptLog().log,
      signal: this.stop.signal,
    };
    return openDaemon(request, { ...this.tools(), ...tools });
  }

  tools(): DaemonTools<TunnelDevice> {
    return {
      openDevice: async () => this.device(),
      openUapi: async (_, onRemoved) => {
        this.events.push('open uapi');
        this.removeSocket = onRemoved;
        return {
          close: async () => {
            this.events.push('close uapi');
          },
        };
      },
      run: () => Promise.reject(new Error('nothing is to be run')),
    };
  }

  device(): TunnelDevice {
    this.events.push('open device');
    const closed = new Promise<TunnelEnd>((resolve) => {
      this.endDevice = resolve;
    });
    const close = async (): Promise<void> => {
      this.events.push('close device');
      this.endDevice({ reason: 'closed', error: null });
    };
    const settings = { privateKey: null, listenPort: 0, fwmark: 0, peers: [] };
    const figures = { status: () => ({ interface: 'wg0' }), snapshot: async () => ({}) };
    return {
      ...figures,
      configure: () => undefined,
      alsoTry: () => undefined,
      settings: () => settings,
      close,
      closed,
    };
  }

  expectClosed(): void {
    expect(this.events).toEqual(['open device', 'open uapi', 'close uapi', 'close device']);
    this.expectNoSockets();
  }

  expectNoSockets(): void {
    expect(existsSync(this.directory) ? readdirSync(this.directory) : []).toEqual([]);
  }
}

describe('a daemon', () => {
  it('answers on its control socket, and closes when it is asked to there, before it says so', async () => {
    const scene = new Scene();
    const daemon = await scene.open();
    const client = await ControlClient.connect(scene.directory, 'wg0');
    expect(await client.call('status')).toEqual({ interface: 'wg0' });
    expect(await client.call('down')).toEqual({ removed: true });
    expect(scene.events).toContain('close device');
    client.close();
    expect(await daemon.closed).toMatchObject({ error: null });
    scene.expectClosed();
  });

  it('has no file: a reload and its trial are refused, and it goes on', async () => {
    const scene = new Scene();
    const daemon = await scene.open();
    const client = await ControlClient.connect(scene.directory, 'wg0');
    for (const method of ['reload', 'difference'] as const)
      expect(await rejectionOf(client.call(method))).toMatchObject({
        code: 'CONFIG',
        message: expect.stringContaining('no file to reload'),
      });
    expect(await client.call('status')).toEqual({ interface: 'wg0' });
    client.close();
    await daemon.close({ reason: 'enough', error: null });
    scene.expectClosed();
  });

  it('closes when its UAPI socket is removed, and with the error of a device that broke', async () => {
    const scene = new Scene();
    const daemon = await scene.open();
    scene.removeSocket();
    expect(await daemon.closed).toEqual({ reason: 'its UAPI socket was removed', error: null });
    scene.expectClosed();
    const broken = new Scene();
    const other = await broken.open();
    const error = new GigatunError('GONE', 'a lane broke');
    broken.endDevice({ reason: error.message, error });
    expect(await other.closed).toEqual({ reason: 'a lane broke', error });
    broken.expectClosed();
  });

  it('leaves nothing when its UAPI cannot be opened', async () => {
    const scene = new Scene();
    const error = new GigatunError('BUSY', 'taken');
    expect(await rejectionOf(scene.open({ openUapi: () => Promise.reject(error) }))).toBe(error);
    expect(scene.events).toEqual(['open device', 'close device']);
    scene.expectNoSockets();
  });

  it('that is told to end while its device opens closes that device, and fails with the reason', async () => {
    const scene = new Scene();
    const reason = new GigatunError('GONE', 'stopped by SIGTERM');
    const openDevice = async (): Promise<TunnelDevice> => {
      scene.stop.abort(reason);
      return scene.device();
    };
    expect(await rejectionOf(scene.open({ openDevice }))).toBe(reason);
    scene.expectClosed();
  });

  it('that is taken down while it starts says to the one that asked when all is gone', async () => {
    const scene = new Scene();
    const downs: Promise<unknown>[] = [];
    const openDevice = async (): Promise<TunnelDevice> => {
      const client = await ControlClient.connectEarly(scene.directory, 'wg0');
      downs.push(
        client
          .call('down')
          .then((answer) => [answer, scene.events.at(-1)])
          .finally(() => client.close()),
      );
      await new Promise((resolve) => setTimeout(resolve, 50));
      return scene.device();
    };
    expect(await rejectionOf(scene.open({ openDevice }))).toMatchObject({ message: 'asked by gigatun down' });
    expect(await downs[0]).toEqual([{ removed: true }, 'close device']);
    scene.expectNoSockets();
  });

  it('does not open beside another of its name, which stays', async () => {
    const scene = new Scene();
    const daemon = await scene.open();
    expect(await rejectionOf(scene.open())).toMatchObject({ code: 'BUSY' });
    expect(scene.events).toEqual(['open device', 'open uapi']);
    await daemon.close({ reason: 'test', error: null });
  });

  it('waits for one of its name that is closing', async () => {
    const scene = new Scene();
    const daemon = await scene.open();
    const opening = scene.open();
    await daemon.close({ reason: 'test', error: null });
    await (await opening).close({ reason: 'test', error: null });
    expect(scene.events.slice(0, 5)).toEqual(['open device', 'open uapi', 'close uapi', 'close device', 'open device']);
  });
});
