import type { Stream } from '../../spi/index.ts'
import { Session } from '../../switch/session/session.ts'

export { FETCHING } from '../../switch/session/block-reader.ts'

/** For what only a session can: urgent data, which Node gives TCP/IP no way to send, and large sends without a copy of ours. */
export function sessionOf(stream: Stream): Session | undefined {
  return stream instanceof Session ? stream : undefined
}
