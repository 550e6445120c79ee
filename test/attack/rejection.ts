import { decodeMessage } from '../../src/providers/shm/messages.ts'
import { LIMIT_MS, closeAll } from './channel.ts'
import type { Channel } from './channel.ts'
import { within } from '../support/waiting.ts'

/** The code with which the victim rejects, after which the channel must end; `end` when it just ended. */
export async function rejectionOf(channel: Channel): Promise<number | 'end' | 'welcome'> {
  const got = await channel.next()
  if (got === 'end') return 'end'
  closeAll(got.fds)
  const message = decodeMessage(got.bytes)
  if (typeof message !== 'object' || message.kind !== 'reject') return 'welcome'
  await within(channel.ended(), LIMIT_MS, 'the end of a rejected channel')
  return message.code
}
