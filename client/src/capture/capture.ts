import type { Duplex } from 'node:stream'
import type { CaptureStatus } from '@sallyport/schema'

/**
 * Opens a connection to a destination: resolves when the Connector has connected, and only then. Rejects with ClientError. `signal` aborts
 * when the application has gone.
 */
export type Open = (host: string, port: number, signal: AbortSignal) => Promise<Duplex>

/** A way in which connections of applications are taken in. */
export type Capture = {
  status(): CaptureStatus
  /** Takes no more connections and cuts those that are open. */
  close(): Promise<void>
}
