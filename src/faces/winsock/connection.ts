import type { AddressFamily, Overlapped, Status, StreamOwner } from '../../spi/index.ts'
import { WSA } from '../../spi/index.ts'
import { shownIn } from '../../switch/addresses.ts'
import { connectionReport } from '../../switch/face.ts'
import type { Carried, ConnectionReport } from '../../switch/face.ts'
import type { Completion } from './completion.ts'
import { FD_WRITE, SD_RECEIVE, SD_SEND } from './constants.ts'
import type { ShutdownHow } from './constants.ts'
import type { SocketEventRecord } from './event-record.ts'
import type { Home } from './home.ts'
import type { OptionStore } from './option-store.ts'
import { Receiving } from './receiving.ts'
import { Sending } from './sending.ts'
import { TransmitFile } from './transmit-file.ts'
import type { FileSource, Stretch } from './transmit-file.ts'
import { sessionOf } from './session-of.ts'

/** What a connected socket has: what carries it, and both directions. */
export class Connection implements StreamOwner {
  /** With both names as the family of the socket shows them. */
  readonly carried: Carried
  /** In ms, of the clock. */
  readonly since: number
  readonly sending: Sending
  readonly receiving: Receiving
  readonly #events: SocketEventRecord
  readonly #completion: Completion
  readonly #transmissions = new Set<TransmitFile>()

  constructor(
    home: Home,
    family: AddressFamily,
    events: SocketEventRecord,
    options: OptionStore,
    carried: Carried,
  ) {
    const { stream, local, remote } = carried
    this.carried = { ...carried, local: shownIn(family, local), remote: shownIn(family, remote) }
    this.since = home.clock.now()
    this.#events = events
    this.#completion = home.completion
    this.sending = new Sending(home, stream, events, () => options.value('SO_SNDBUF'))
    this.receiving = new Receiving(stream, home.completion, events)
    const session = sessionOf(stream)
    if (session !== undefined) session.urgentInline = options.value('SO_OOBINLINE') !== 0
    stream.attach(this)
    // What came along with the connection was told to nobody.
    home.schedule(() => {
      if (stream.state === 'closed') return
      events.record(FD_WRITE)
      this.receiving.readable()
    })
  }

  get report(): ConnectionReport {
    return connectionReport(this.carried)
  }

  readable(): void {
    this.receiving.readable()
  }

  writable(): void {
    this.sending.writable()
  }

  urgent(): void {
    this.receiving.urgent()
  }

  /** What holds now, for an application that has just asked to be told. */
  tellNow(): void {
    this.#events.record(FD_WRITE)
    this.receiving.tellNow()
  }

  transmitFile(file: FileSource, stretch: Stretch, overlapped: Overlapped): void {
    const over = (me: TransmitFile): void => {
      this.#transmissions.delete(me)
    }
    const transmission = new TransmitFile(this.sending, this.#completion, file, stretch, overlapped, over)
    this.#transmissions.add(transmission)
    transmission.start()
  }

  cancel(overlapped: Overlapped): boolean {
    for (const transmission of this.#transmissions) {
      if (transmission.overlapped !== overlapped) continue
      transmission.cancel()
      return true
    }
    return this.sending.cancel(overlapped) || this.receiving.cancel(overlapped)
  }

  shutdown(how: ShutdownHow): Status {
    if (how !== SD_RECEIVE) this.sending.end()
    if (how !== SD_SEND) this.receiving.end()
    return 0
  }

  /** Ends what is pending, then the connection. @param reset Abruptly; so, too, when bytes were looked at and not read. */
  close(reset: boolean): void {
    for (const transmission of this.#transmissions) transmission.cancel()
    this.sending.cancelAll(WSA.WSA_OPERATION_ABORTED)
    this.receiving.cancelAll(WSA.WSA_OPERATION_ABORTED)
    this.#leave(reset)
  }

  /** The process ends; the kernel does the same for TCP/IP. @param reset As for {@link close}. */
  farewell(reset: boolean): void {
    if (this.carried.provider !== 'tcpip') this.#leave(reset)
  }

  #leave(reset: boolean): void {
    const { stream } = this.carried
    if (reset || this.receiving.hasPeeked) stream.reset()
    else stream.close()
  }
}
