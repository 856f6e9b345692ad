import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['{packages,images,client,operator,tests,hack}/**/*.test.ts'],
    // They need a cluster and run in its network: `make e2e`.
    exclude: [...configDefaults.exclude, 'tests/cluster/**'],
    testTimeout: 120_000,
    hookTimeout: 180_000,
    pool: 'forks',
    maxWorkers: 3,
  },
})
