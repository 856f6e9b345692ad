import { fileURLToPath } from 'node:url'

/** The file that runs the command: main.ts, or the bundle that was started. */
export const CLI_PATH: string = import.meta.url.endsWith('.ts')
  ? fileURLToPath(new URL('./main.ts', import.meta.url))
  : process.argv[1]!
