/** Two groups of tests: pure ones, side by side; then those that put load on the machine or use its network, one by one. */
import { defineConfig, type ViteUserConfig } from 'vitest/config';

const SYSTEM = [
  'test/interop/**/*.test.ts',
  'test/lab/**/*.test.ts',
  'test/cli/**/*.test.ts',
  'test/device/**/*.test.ts',
  'test/native/**/*.test.ts',
  'test/netns/**/*.test.ts',
];

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
          name: 'system',
          include: SYSTEM,
          fileParallelism: false,
          testTimeout: 120_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});

export default config;
