import { fileURLToPath } from 'node:url'

/** The file that runs the command: main.ts, or the bundle that this module is a part of. */
export const CLI_PATH: string = fileURLToPath(
  import.meta.url.endsWith('.ts') ? new URL('./main.ts', import.meta.url) : import.meta.url,
)
