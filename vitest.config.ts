/**
 * Three groups of tests, one after the other: pure ones, side by side; those that drive programs, devices and namespaces of
 * their own, and mostly wait, three files at a time; and those that load the machine or look at what it has left, one by one.
 */
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const SYSTEM = ['interop', 'lab', 'cli', 'device', 'native', 'netns'].map((part) => `test/${part}/**/*.test.ts`);
/** Loads to the limit, figures of memory and allocation, and what a busy machine would change the meaning of. */
const ALONE = [
  'test/lab/**/*.test.ts',
  ...['allocation', 'attack', 'change', 'congestion', 'crowd', 'integrity', 'junk', 'lanes', 'lanes-peers', 'loss'],
  ...['memory', 'timers'],
].map((part) => (part.includes('/') ? part : `test/interop/${part}.test.ts`));
const SYSTEM_LIMITS = { testTimeout: 120_000, hookTimeout: 60_000 };

const config: ViteUserConfig = defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: SYSTEM,
          testTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'beside',
          include: SYSTEM,
          exclude: ALONE,
          maxWorkers: 3,
          ...SYSTEM_LIMITS,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: { name: 'alone', include: ALONE, fileParallelism: false, ...SYSTEM_LIMITS, sequence: { groupOrder: 2 } },
      },
    ],
  },
});

export default config;
