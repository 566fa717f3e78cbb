/** What the suites in namespaces say when a machine lacks something; where nothing is missing, none of them is skipped. */
import { describe, expect, it } from 'vitest';
import { missingForTunnels } from '../support/tunnel-needs.ts';

const everything = (): boolean => true;
const own = { kind: 'own' } as const;

describe('a suite in namespaces', () => {
  it('lacks nothing where programs, privileges and builds are there', () => {
    expect(missingForTunnels(['ip', 'wg'], everything, own, [])).toEqual([]);
  });

  it('names each missing program and the package that holds it', () => {
    const missing = missingForTunnels(['ip', 'wg', 'nft'], (program) => program === 'ip', own, []);
    expect(missing).toEqual([
      'the program wg is missing (Debian package wireguard-tools)',
      'the program nft is missing (Debian package nftables)',
    ]);
  });

  it('says why the machine does not let it make interfaces', () => {
    const reasons = ['/dev/net/tun cannot be opened: ENOENT'];
    expect(missingForTunnels(['ip'], everything, { kind: 'missing', reasons }, [])).toEqual(reasons);
    expect(missingForTunnels(['ip'], everything, { kind: 'user-namespace' }, []).join()).toContain('run it as root');
  });

  it('says what is not built, and how to build it', () => {
    expect(missingForTunnels(['ip'], everything, own, ['dist/index.js'])).toEqual([
      'dist/index.js is not built (npm run build)',
    ]);
  });
});
