import type { EventSwitches } from './events.ts'
import type { Timing } from './control-table.ts'
import { basicDispatch } from './dispatch-tables.ts'
import { Machine } from '../../base/machine.ts'
import { SocketCore } from './socket.ts'
import { BASIC } from './socket-states.ts'

/** A basic socket: can be asked about its transport, and closed. */
export class BasicSocket extends SocketCore {
  readonly category = 'basic'
  readonly dispatch = basicDispatch
  protected readonly machine = new Machine(BASIC, 'created')

  protected get events(): EventSwitches | undefined {
    return undefined
  }
  protected reached(timing: Timing): boolean {
    return timing === 'any'
  }
  protected eventsChanged(): void {
    // It has none.
  }
  protected release(): void {
    // It holds nothing.
  }
  protected tellDead(): void {
    // It has no callbacks.
  }
}
