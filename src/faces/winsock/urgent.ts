import type { Stream } from '../../spi/index.ts'
import { Session } from '../../switch/session/session.ts'

/** What carries urgent data: a session does; Node gives TCP/IP no way to. */
export function urgentOf(stream: Stream): Session | undefined {
  return stream instanceof Session ? stream : undefined
}
