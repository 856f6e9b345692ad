import { resolve } from 'node:path'
import { homeOf } from './home.ts'

/** What the verbs need of the environment; the rest is the daemon's. */
export type LocalConfig = {
  /** State directory. */
  home: string
  /** Command that opens a URL; empty for none, undefined for that of the platform. */
  browser: string | undefined
}

/** Reads the environment. */
export function readLocalConfig(environment: Readonly<Record<string, string | undefined>> = process.env): LocalConfig {
  return { home: resolve(homeOf(environment)), browser: environment.SALLYPORT_BROWSER }
}
