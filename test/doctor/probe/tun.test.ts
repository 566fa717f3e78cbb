/** The TUN's probe against kernels that refuse this or that; the real kernel has its turn in test/cli/doctor.test.ts. */
import { existsSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { probeTun } from '../../../src/doctor/probe/tun.ts';
import { GigatunError } from '../../../src/errors.ts';
import type { TunOptions } from '../../../src/native/types.ts';

/** An addon whose kernel takes what `accepts` says, and gives descriptors that the probe has to close. */
function kernelThat(accepts: (options: TunOptions) => boolean): Parameters<typeof probeTun>[0] & object {
  return {
    openTun: (options) => {
      if (!accepts(options)) throw new GigatunError('SYSTEM', 'cannot open the TUN interface: EINVAL');
      return { fd: openSync('/dev/null', 'r'), name: 'gtprobe0', offloads: options.offloads & 7, multiQueue: false };
    },
  };
}

describe.skipIf(!existsSync('/dev/net/tun'))('the probe of the TUN', () => {
  it('finds several queues, and the offloads that were accepted', () => {
    const facts = probeTun(kernelThat(() => true));
    expect(facts).toEqual({ device: true, problem: null, features: { multiQueue: true, offloads: 7 } });
  });

  it('finds one queue where a second is refused', () => {
    const { features } = probeTun(kernelThat(({ multiQueue }) => !multiQueue));
    expect(features).toEqual({ multiQueue: false, offloads: 7 });
  });

  it('finds an interface without offloads where they are refused', () => {
    const { features } = probeTun(kernelThat(({ multiQueue, offloads }) => !multiQueue && offloads === 0));
    expect(features).toEqual({ multiQueue: false, offloads: 0 });
  });

  it('says why none could be made', () => {
    const { features, problem } = probeTun(kernelThat(() => false));
    expect(features).toBeNull();
    expect(problem).toEqual({ code: 'SYSTEM', message: 'cannot open the TUN interface: EINVAL' });
  });

  it('tries nothing without the addon', () => {
    expect(probeTun(null)).toEqual({ device: true, problem: null, features: null });
  });
});
