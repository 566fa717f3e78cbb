/**
 * What a tunnel leaves behind: nothing, however it ends and wherever its start fails.
 *
 *     a: 10.77.0.1 --TUN, default route into it--[10.99.0.1]== veth ==[10.99.0.2] b (only a namespace)
 *
 * Each test compares the whole state of a's namespace before and after: interfaces, addresses, routes of all tables, rules,
 * nftables, UDP sockets, and the files of the run directory.
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { CLI } from '../../src/lab/gigatun-end.ts';
import { Lab, type Namespace } from '../../src/lab/namespaces.ts';
import { type Pair, planPair } from '../../src/lab/pair.ts';
import { type Finished, run } from '../../src/lab/process.ts';
import { type EndOptions, type GigatunEnd, openGigatun, startGigatun } from '../support/tunnel-end.ts';
import { tunnelSuite } from '../support/tunnel-needs.ts';
import { programPath } from '../support/tunnel-programs.ts';
import { namespaceState, settleDevice } from '../support/tunnel-state.ts';

/** All traffic goes into the tunnel: rules, a table of its own, and nftables. */
const EVERYTHING: EndOptions = {
  edit: (config) => config.replace(/^AllowedIPs = .*$/m, 'AllowedIPs = 0.0.0.0/0, ::/0'),
};
const END_MS = 10_000;

class Scene implements AsyncDisposable {
  readonly lab: Lab = new Lab();
  readonly pair: Pair = planPair(this.lab);
  readonly namespace: Namespace = this.pair.a.namespace;
  readonly #ends: GigatunEnd[] = [];
  #before = '';

  /** Without link-local addresses, which change by themselves while the kernel looks for duplicates. */
  constructor() {
    settleDevice(this.namespace, this.pair.link[0].device);
  }

  async up(options: EndOptions = EVERYTHING): Promise<GigatunEnd> {
    this.#before ||= this.state();
    const end = await openGigatun(this.lab, this.pair.a, options);
    this.#ends.push(end);
    return end;
  }

  /** A start that is expected to fail by itself; what it leaves is compared. */
  async failingUp(options: EndOptions): Promise<Finished> {
    const before = this.state();
    const end = startGigatun(this.lab, this.pair.a, options);
    this.#ends.push(end);
    const finished = await within(end.program.finished);
    expect(this.state()).toBe(before);
    return finished;
  }

  /** Everything is as it was before the first `up`. */
  expectNothingLeft(): void {
    expect(this.state()).toBe(this.#before);
  }

  state(): string {
    const files = readdirSync(this.lab.directory, { recursive: true, encoding: 'utf8' });
    return [namespaceState(this.namespace), ...files.filter((file) => /\.(sock|undo|starting)$/.test(file))].join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#ends.map((end) => end.end('SIGKILL')));
    this.lab.close();
  }
}

tunnelSuite('a tunnel that ends', ['nft', 'ping'], () => {
  it('has routes, rules and sockets while it runs, or this file would compare nothing', async () => {
    await using scene = new Scene();
    const before = scene.state();
    const end = await scene.up();
    const { device } = scene.pair.a;
    expect(before).not.toContain(device);
    expect(scene.namespace.runSync(['ip', '-4', 'route', 'show', 'table', 'all'])).toMatch(`default dev ${device}`);
    expect(scene.namespace.runSync(['ip', '-4', 'rule'])).toMatch(/not .*fwmark/);
    expect(scene.namespace.runSync(['nft', 'list', 'ruleset'])).toContain(device);
    expect(end.program.ended).toBe(false);
  });

  it.for(['SIGTERM', 'SIGINT'] as const)('by %s takes everything with it and exits with 0', async (signal) => {
    await using scene = new Scene();
    const end = await scene.up();
    const finished = await end.end(signal);
    expect(finished).toMatchObject({ code: 0, signal: null });
    scene.expectNothingLeft();
  });

  it('by gigatun down takes everything with it, and both exit with 0', async () => {
    await using scene = new Scene();
    const end = await scene.up();
    const env = { GIGATUN_RUN_DIR: end.directory };
    const down = await run([process.execPath, CLI, 'down', scene.pair.a.device], { env });
    expect(down.code).toBe(0);
    scene.expectNothingLeft();
    expect(await within(end.program.finished)).toMatchObject({ code: 0 });
  });

  it('because somebody deleted its interface takes the rest with it and exits with 0', async () => {
    await using scene = new Scene();
    const end = await scene.up();
    scene.namespace.ip(`link delete dev ${scene.pair.a.device}`);
    expect(await within(end.program.finished)).toMatchObject({ code: 0 });
    scene.expectNothingLeft();
  });

  it.for([1, 2])('because one of %i lanes broke takes everything with it, says so, and exits with 1', async (lanes) => {
    await using scene = new Scene();
    const flag = join(scene.lab.directory, 'crash');
    const nodeArguments = ['--import', programPath('tunnel-crash')];
    const end = await scene.up({ ...EVERYTHING, lanes, nodeArguments, env: { GIGATUN_TEST_CRASH: flag } });
    writeFileSync(flag, '');
    await scene.namespace.run(['ping', '-c', '1', '-W', '1', '10.77.0.2'], { mayFail: true });
    const finished = await within(end.program.finished);
    expect(finished.code).toBe(1);
    expect(finished.stderr).toMatch(/lane \d failed: Error: broken on purpose/);
    scene.expectNothingLeft();
  });

  it('by SIGKILL leaves what only it could undo, and the next start undoes it', async () => {
    await using scene = new Scene();
    await (await scene.up()).end('SIGKILL');
    expect(scene.namespace.runSync(['ip', '-o', 'link'])).not.toContain(scene.pair.a.device);
    const again = await scene.up();
    expect(scene.namespace.runSync(['ip', '-4', 'rule']).match(/not .*fwmark/g)).toHaveLength(1);
    await again.end('SIGTERM');
    scene.expectNothingLeft();
  });

  it('in the background too, by gigatun down', async () => {
    await using scene = new Scene();
    const end = await scene.up();
    await end.end('SIGTERM');
    const { device } = scene.pair.a;
    const options = { env: { GIGATUN_RUN_DIR: end.directory } };
    const up = await scene.namespace.run(
      [process.execPath, CLI, 'up', `${scene.lab.directory}/${device}.conf`],
      options,
    );
    expect(up.code).toBe(0);
    expect(scene.namespace.runSync(['ip', '-o', 'link'])).toContain(device);
    await scene.namespace.run([process.execPath, CLI, 'down', device], options);
    scene.expectNothingLeft();
  });
});

tunnelSuite('a start that fails leaves nothing', [], () => {
  it('when the port is taken, and exits with 5', async () => {
    await using scene = new Scene();
    const hold = `require('node:dgram').createSocket('udp4').bind(${scene.pair.a.listenPort}, () => console.log('bound'))`;
    const holder = scene.namespace.start([process.execPath, '-e', hold]);
    await holder.waitForOutput(/bound/, END_MS);
    const finished = await scene.failingUp(EVERYTHING);
    expect(finished.code).toBe(5);
    expect(finished.stderr).toMatch(/port 51820/);
    await holder.stop();
  });

  it('when the kernel refuses an address, and exits with 1', async () => {
    await using scene = new Scene();
    const edit = (config: string) => config.replace(/^Address = .*$/m, 'Address = 10.77.0.1/24, ff02::1/64');
    const finished = await scene.failingUp({ edit });
    expect(finished.code).toBe(1);
    expect(finished.stderr).toContain('ff02::1');
  });

  it('when the private key is no key, and exits with 2', async () => {
    await using scene = new Scene();
    const edit = (config: string) => config.replace(/^PrivateKey = .*$/m, 'PrivateKey = tooshort');
    const finished = await scene.failingUp({ edit });
    expect(finished.code).toBe(2);
    expect(finished.stderr).toMatch(/\.conf:\d+:\d+/);
  });

  it('when an interface of that name exists, which stays, and exits with 5', async () => {
    await using scene = new Scene();
    const { device } = scene.pair.a;
    scene.namespace.ip(`tuntap add dev ${device} mode tun`);
    const finished = await scene.failingUp(EVERYTHING);
    expect(finished.code).toBe(5);
    expect(scene.namespace.runSync(['ip', '-o', 'link'])).toContain(device);
  });

  it('when a command of the file fails after the interface is up, and exits with 1', async () => {
    await using scene = new Scene();
    const edit = (config: string) => EVERYTHING.edit?.(config).replace('[Peer]', 'PostUp = false\n[Peer]') ?? '';
    const finished = await scene.failingUp({ edit });
    expect(finished.code).toBe(1);
    expect(finished.stderr).toContain('PostUp');
  });

  it('when it is stopped in the middle, and exits with 1', async () => {
    await using scene = new Scene();
    const before = scene.state();
    const edit = (config: string) => config.replace('[Peer]', 'PostUp = sleep 1\n[Peer]');
    const end = startGigatun(scene.lab, scene.pair.a, { edit });
    await end.program.waitUntil(
      () => scene.namespace.runSync(['ip', '-o', 'link']).includes(scene.pair.a.device),
      END_MS,
      'start',
    );
    const finished = await end.end('SIGTERM');
    expect(finished.code).toBe(1);
    expect(scene.state()).toBe(before);
  });
});

async function within(finished: Promise<Finished>): Promise<Finished> {
  const late = delay(END_MS).then(() => {
    throw new Error(`expected the program to end within ${END_MS} ms`);
  });
  return await Promise.race([finished, late]);
}
