import { WSA } from '../../spi/index.ts'
import { Link } from './link.ts'
import type { LinkMaker } from './link-host.ts'
import { encodeMessage } from './messages.ts'
import { reject } from './rendezvous.ts'
import type { Reception, Visit } from './rendezvous.ts'
import { closeAll } from './segments.ts'

/** Makes a link of what an opener sent; or sends it away with the reason, and answers nothing. Takes every descriptor. */
export function acceptLink(
  host: LinkMaker,
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

/** For a rendezvous that openers come to, and nobody who wants to join. */
export function acceptingLinks(host: LinkMaker, name: string): Reception {
  return (visit) => {
    if (visit.message.kind === 'join') return WSA.WSAEACCES
    acceptLink(host, name, visit, visit.message.segmentBytes)
    return 0
  }
}
