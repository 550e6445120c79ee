/** Time as the switch and the providers see it; tests hand in their own. */
export interface Clock {
  /** Milliseconds from an arbitrary start; never goes back. */
  now(): number
  /** Calls `action` once after `delayMs`. Does not keep the process alive. Returns what cancels it. */
  after(delayMs: number, action: () => void): Cancel
}

export type Cancel = () => void

/** The process's own time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, action) {
    const timer = setTimeout(action, delayMs)
    timer.unref()
    return () => {
      clearTimeout(timer)
    }
  },
}
