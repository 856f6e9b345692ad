import { readFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { createSecureContext } from 'node:tls'
import { type Clock, type Log, sleep, watchDirectory } from '@sallyport/runtime'
import { type ControllerConfig, urlOfFile } from '@sallyport/schema'
import { joinBundle, splitBundle } from '@sallyport/trust'
import { readStoreKey } from './key/store-key.ts'

/** Time between two looks at files that are not there yet. */
const RETRY_MS = 250
/** Time between two lines in the log about what is waited for. */
const REMIND_MS = 10_000

export type ServingFiles = { url: string; cert: string; key: string; storeKey: ReturnType<typeof readStoreKey> }
type Location = Pick<ControllerConfig, 'url' | 'urlFile'>

/** Waits until certificate, key, store key and URL are there and fit, at most `startupWaitSeconds`; says meanwhile what is missing. */
export async function waitForFiles(
  config: Pick<ControllerConfig, 'tls' | 'storeKeyFile' | 'startupWaitSeconds'> & Location,
  { clock, log, signal }: { clock: Clock; log: Log; signal?: AbortSignal | undefined },
): Promise<ServingFiles> {
  const untilMs = clock.monotonic() + config.startupWaitSeconds * 1000
  let remindedMs = Number.NEGATIVE_INFINITY
  for (;;) {
    try {
      const storeKey = readStoreKey(await readFile(config.storeKeyFile, 'utf8'))
      return { ...(await readCertificate(config.tls)), storeKey, url: await readUrl(config) }
    } catch (cause) {
      const nowMs = clock.monotonic()
      const reason = cause instanceof Error ? cause.message : String(cause)
      if (nowMs >= untilMs)
        throw new Error(`certificate, store key or URL not usable after ${config.startupWaitSeconds} s: ${reason}`, {
          cause,
        })
      if (nowMs - remindedMs >= REMIND_MS) {
        log.info({ reason }, 'waiting for certificate, store key and URL')
        remindedMs = nowMs
      }
    }
    await sleep(clock, RETRY_MS, signal)
  }
}

/** Calls `use` with certificate and key whenever they differ from `current` and fit; what does not fit is logged and left. */
export function watchCertificate(
  tls: ControllerConfig['tls'],
  current: { cert: string; key: string },
  use: (pair: { cert: string; key: string }) => void,
  { clock, log }: { clock: Clock; log: Log },
): { close(): void } {
  let shown = current
  const reload = () => {
    readCertificate(tls).then(
      pair => {
        if (pair.cert === shown.cert && pair.key === shown.key) return
        shown = pair
        use(pair)
        log.info({ certFile: tls.certFile }, 'serving certificate reloaded')
      },
      error => log.warn({ err: error }, 'the new serving certificate is not usable; the old one stays'),
    )
  }
  const directories = new Set([dirname(tls.certFile), dirname(tls.keyFile)])
  const watches = [...directories].map(directory => watchDirectory(directory, reload, { clock }))
  return {
    close: () => {
      for (const watch of watches) watch.close()
    },
  }
}

/** Calls `onMoved` once with the URL of `urlFile` when it is no longer `current`; what is no URL is logged and left. */
export function watchUrl(
  { urlFile }: Location,
  current: string,
  onMoved: (url: string) => void,
  { clock, log }: { clock: Clock; log: Log },
): { close(): void } {
  if (urlFile === undefined) return { close: () => undefined }
  const look = () => {
    readUrl({ urlFile }).then(
      url => {
        if (url === current) return
        watch.close()
        onMoved(url)
      },
      error => log.warn({ err: error }, 'the new URL is not usable; the old one stays'),
    )
  }
  const watch = watchDirectory(dirname(urlFile), look, { clock })
  look()
  return watch
}

async function readUrl({ url, urlFile }: Location): Promise<string> {
  if (url !== undefined) return url
  if (urlFile === undefined) throw new TypeError('the configuration requires url or urlFile')
  const read = urlOfFile(await readFile(urlFile, 'utf8'))
  if (read === undefined) throw new Error(`${urlFile} holds no URL, want https://…`)
  return read
}

async function readCertificate({ certFile, keyFile, caFile }: ControllerConfig['tls']) {
  const [chain, key, ca] = await Promise.all([
    readFile(certFile, 'utf8'),
    readFile(keyFile, 'utf8'),
    caFile === undefined ? readIfThere(join(dirname(certFile), 'ca.crt')) : readFile(caFile, 'utf8'),
  ])
  if (splitBundle(chain).length === 0) throw new Error(`${certFile} holds no certificate`)
  const cert = joinBundle([chain, ca])
  createSecureContext({ cert, key })
  return { cert, key }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return ''
    throw error
  }
}
