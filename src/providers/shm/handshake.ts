import { WSA } from '../../spi/index.ts'
import type { WsaCode } from '../../spi/index.ts'
import type { ShmNative } from '../../native/shm.ts'
import type { Turns } from '../../native/turns.ts'
import { Bell } from './bell.ts'
import { codeOf } from './errno.ts'
import * as layout from './layout.ts'
import type { LinkMemory } from './link-memory.ts'
import { encodeMessage } from './messages.ts'
import type { LinkMessage } from './messages.ts'
import { closeAll } from './segments.ts'
import type { Segment } from './segments.ts'

/** What the peer of a link has offered: its segment 0, with the cursors and the notification ring, and how to wake it. */
export interface PeerSide {
  readonly segment: Segment
  readonly bell: Bell
}

/** Makes our segment 0, and sends it with our doorbell and status page. */
export function offerOwnSide(
  { native, turns }: { readonly native: ShmNative; readonly turns: Turns },
  memory: LinkMemory,
  channel: number,
  message: LinkMessage,
): Segment | WsaCode {
  const created = memory.create()
  if (!created.ok) return created.error
  const { fd, segment } = created.value
  if (message.kind === 'open') segment.words[layout.LINK_ID] = Math.floor(Math.random() * 2 ** 31)
  const { doorbell, statusFd } = turns.poller
  const sent = native.send(channel, encodeMessage(message), [fd, doorbell, statusFd])
  native.close(fd)
  return sent === 0 ? segment : codeOf(sent)
}

/** Maps what the peer offers, after checking all of it. Closes `fds`, but the doorbell when it is good. */
export function adoptPeerSide(
  native: ShmNative,
  memory: LinkMemory,
  segmentBytes: number,
  fds: readonly number[],
): PeerSide | WsaCode {
  const [segmentFd, doorbell, statusFd] = fds
  const complete =
    fds.length === 3 && segmentFd !== undefined && doorbell !== undefined && statusFd !== undefined
  if (!complete || segmentBytes !== layout.LINK_SEGMENT_BYTES || !native.isDoorbell(doorbell)) {
    closeAll(native, fds)
    return WSA.WSAEFAULT
  }
  const segment = memory.adopt(segmentFd)
  const status = native.mapMemory(statusFd, layout.STATUS_BYTES)
  closeAll(native, [segmentFd, statusFd])
  if (typeof status === 'number') {
    native.close(doorbell)
    return codeOf(status)
  }
  const bell = new Bell(native, doorbell, new Int32Array(status))
  if (typeof segment !== 'number') return { segment, bell }
  bell.release()
  return segment
}
