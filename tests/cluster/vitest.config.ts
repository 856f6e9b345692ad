import { join } from 'node:path'
import { defineConfig } from 'vitest/config'

/** Tests beside a running cluster: `make e2e` starts one. They share it, so one file runs at a time. */
export default defineConfig({
  root: join(import.meta.dirname, '../..'),
  test: {
    include: ['tests/cluster/**/*.test.ts'],
    testTimeout: 180_000,
    hookTimeout: 300_000,
    pool: 'forks',
    fileParallelism: false,
  },
})
