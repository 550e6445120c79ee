import { WSA } from '../../spi/index.ts'
import { Link } from './link.ts'
import type { LinkHost } from './link.ts'
import { encodeMessage } from './messages.ts'
import { reject } from './rendezvous.ts'
import type { Visit } from './rendezvous.ts'
import { closeAll } from './segments.ts'

/** What accepting links needs of the provider. */
export interface AcceptHost extends LinkHost {
  /** True while the limits allow another link. */
  mayLink(): boolean
  /** There is a new link. */
  linked(link: Link): void
}

/** Makes a link of what an opener sent; or sends it away with the reason, and answers nothing. Takes every descriptor. */
export function acceptLink(
  host: AcceptHost,
  name: string,
  { fd, peer, fds }: Pick<Visit, 'fd' | 'peer' | 'fds'>,
  segmentBytes: number,
): Link | undefined {
  const { native } = host
  if (!host.mayLink()) {
    closeAll(native, fds)
    reject(native, fd, WSA.WSAEPROCLIM)
    return undefined
  }
  const link = new Link(host, 'acceptor', fd, name, peer)
  const status = link.welcome(segmentBytes, fds)
  if (status === 0) {
    host.linked(link)
    return link
  }
  native.send(fd, encodeMessage({ kind: 'reject', code: status }), [])
  link.fail(WSA.WSA_OPERATION_ABORTED)
  return undefined
}
