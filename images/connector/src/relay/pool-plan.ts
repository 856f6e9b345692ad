import { MAX_IDLE_SOCKETS, MIN_IDLE_SOCKETS } from '@sallyport/wire'

/** What a pool of idle data sockets at one Relay has and has asked for. */
export type PoolState = {
  registered: boolean
  /** What the Relay would like to have. */
  want: number
  idle: number
  /** Being connected. */
  dialling: number
  /** Slot keys that were asked for and have not come. */
  asked: number
}

/** How many slot keys to ask for, so that as many sockets wait as the Relay wants: at least 2, at most 64. */
export function missingSockets({ registered, want, idle, dialling, asked }: PoolState): number {
  if (!registered) return 0
  const target = Math.min(MAX_IDLE_SOCKETS, Math.max(MIN_IDLE_SOCKETS, want))
  return Math.max(0, target - idle - dialling - asked)
}
