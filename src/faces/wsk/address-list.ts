import { networkInterfaces } from 'node:os'
import type { Clock } from '../../base/clock.ts'
import type { AddressFamily } from '../../spi/index.ts'
import type { SockAddr } from './addresses.ts'
import type { Request } from './request.ts'
import { STATUS } from './status.ts'

const POLL_MS = 1000

/** The addresses of this host, without ports. @source SIO_ADDRESS_LIST_QUERY */
export function addressesOf(family: AddressFamily): SockAddr[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? [])
      .filter((entry) => entry.family === family)
      .map(({ address }) => ({ family, address, port: 0 })),
  )
}

/**
 * Completes `request` once the addresses have changed. Nothing announces a change to a program without a netlink socket: we
 * look now and then, while somebody waits.
 *
 * @source SIO_ADDRESS_LIST_CHANGE
 */
export function waitForAddresses(family: AddressFamily, clock: Clock, request: Request): void {
  const before = JSON.stringify(addressesOf(family))
  const look = (): void => {
    if (request.over) return
    if (JSON.stringify(addressesOf(family)) === before) clock.after(POLL_MS, look)
    else request.complete(STATUS.STATUS_SUCCESS)
  }
  clock.after(POLL_MS, look)
}
