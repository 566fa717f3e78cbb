/** What the package exports, and what it keeps to itself. */
import { expect, expectTypeOf, test } from 'vitest';
import * as api from '../../src/index.ts';

test('the protocol cannot be given other times than WireGuard has', () => {
  expectTypeOf<api.DeviceOptions>().not.toHaveProperty('timing');
  expectTypeOf(api.openDevice).parameters.toEqualTypeOf<[options: api.DeviceOptions]>();
  expect(Object.keys(api).sort()).toEqual(
    [
      'DEFAULT_MTU',
      'GigatunError',
      'createLogger',
      'diagnosisJson',
      'difference',
      'dropPrivileges',
      'examine',
      'forbidDumps',
      'formatDiagnosis',
      'formatStats',
      'openDevice',
      'statsJson',
    ].sort(),
  );
});
