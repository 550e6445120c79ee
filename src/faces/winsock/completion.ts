import type { Overlapped, Status } from '../../spi/index.ts'
import type { Schedule } from '../../switch/network-event.ts'

/**
 * Ends overlapped operations of an application. A silent one ends at once, and whoever started it asks. Any other ends in a
 * turn of its own, where it is told, exactly once: never from inside a call of the application's (WSD-CPL-1, -2, -11).
 */
export class Completion {
  readonly #schedule: Schedule

  constructor(schedule: Schedule) {
    this.#schedule = schedule
  }

  end(overlapped: Overlapped, status: Status, bytes: number): void {
    if (overlapped.silent) {
      overlapped.end(status, bytes)
      return
    }
    this.#schedule(() => {
      overlapped.end(status, bytes)
      overlapped.completed?.(status, bytes)
    })
  }
}
