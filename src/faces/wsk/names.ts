import { ADDRCONFIG, ALL, V4MAPPED, lookup, lookupService } from 'node:dns'
import { readFile } from 'node:fs'
import { isIP } from 'node:net'
import { familyNumber } from './addresses.ts'
import type { SockAddr } from './addresses.ts'
import type { Out } from './buffer.ts'
import * as wsk from './constants.ts'
import type { Request } from './request.ts'
import { STATUS, ntStatusOfError } from './status.ts'

/** What is wanted of a name. @source the hints of WskGetAddressInfo */
export interface AddrInfoHints {
  readonly family?: number
  readonly socketType?: number
  readonly protocol?: number
}

/** One answer; the next hangs on it. @source ADDRINFOEXW */
export interface AddrInfo {
  readonly family: number
  readonly socketType: number
  readonly protocol: number
  readonly addr: SockAddr
  readonly next: AddrInfo | null
}

/** Where the numbers of services are written. */
const SERVICES = '/etc/services'
const MAX_PORT = 65_535

/** WSK-NAME-2: a name or a numeric address, with the port of a service. */
export function getAddressInfo(
  node: string | null,
  service: string | null,
  hints: AddrInfoHints | null,
  result: Out<AddrInfo>,
  request: Request,
): void {
  if ((node ?? '') === '' && (service ?? '') === '') {
    request.complete(STATUS.STATUS_INVALID_PARAMETER)
    return
  }
  const family = hints?.family ?? wsk.AF_UNSPEC
  const kinds: readonly number[] = [wsk.AF_UNSPEC, wsk.AF_INET, wsk.AF_INET6]
  if (!kinds.includes(family)) {
    request.complete(STATUS.STATUS_INVALID_PARAMETER)
    return
  }
  portOf(service, (port) => {
    if (port === undefined) request.complete(STATUS.STATUS_NO_MATCH)
    else resolve(node ?? '', port, family, hints, result, request)
  })
}

function resolve(
  node: string,
  port: number,
  family: number,
  hints: AddrInfoHints | null,
  result: Out<AddrInfo>,
  request: Request,
): void {
  const name = node === '' ? 'localhost' : node
  const numeric = isIP(name) === 0 ? ADDRCONFIG : V4MAPPED & ALL
  const only = family === wsk.AF_INET ? 4 : family === wsk.AF_INET6 ? 6 : 0
  lookup(name, { all: true, family: only, hints: numeric, verbatim: true }, (error, addresses) => {
    if (request.over) return
    if (error !== null) {
      request.complete(ntStatusOfError(error))
      return
    }
    let next: AddrInfo | null = null
    for (const { address, family: number } of addresses.toReversed()) {
      const addr: SockAddr = { family: number === 6 ? 'IPv6' : 'IPv4', address, port }
      next = {
        family: familyNumber(addr.family),
        socketType: hints?.socketType ?? wsk.SOCK_STREAM,
        protocol: hints?.protocol ?? wsk.IPPROTO_TCP,
        addr,
        next,
      }
    }
    result.value = next ?? undefined
    request.complete(next === null ? STATUS.STATUS_NO_MATCH : STATUS.STATUS_SUCCESS)
  })
}

function portOf(service: string | null, done: (port: number | undefined) => void): void {
  if (service === null || service === '') {
    done(0)
    return
  }
  if (/^\d+$/.test(service)) {
    const port = Number(service)
    done(port <= MAX_PORT ? port : undefined)
    return
  }
  readFile(SERVICES, 'utf8', (error, text) => {
    if (error !== null) {
      done(undefined)
      return
    }
    const line = text
      .split('\n')
      .map((entry) => entry.replace(/#.*/, '').trim().split(/\s+/))
      .find(([name, , ...aliases]) => name === service || aliases.includes(service))
    const port = Number(line?.[1]?.split('/')[0])
    done(Number.isInteger(port) ? port : undefined)
  })
}

/** WSK-NAME-5: the names of an address, or its numbers where it has none. */
export function getNameInfo(
  address: SockAddr,
  node: Out<string> | null,
  service: Out<string> | null,
  flags: number,
  request: Request,
): void {
  if ((node === null && service === null) || isIP(address.address) === 0) {
    request.complete(STATUS.STATUS_INVALID_PARAMETER)
    return
  }
  const asked = flags & (wsk.NI_NUMERICHOST | wsk.NI_NUMERICSERV)
  const numbersOnly = asked === (wsk.NI_NUMERICHOST | wsk.NI_NUMERICSERV)
  if (numbersOnly) {
    answer(address.address, String(address.port))
    return
  }
  lookupService(address.address, address.port, (error, hostname, name) => {
    if (request.over) return
    const unnamed = error !== null || hostname === address.address
    if (unnamed && (flags & wsk.NI_NAMEREQD) !== 0) {
      request.complete(STATUS.STATUS_NO_MATCH)
      return
    }
    answer(error === null ? hostname : address.address, error === null ? name : String(address.port))
  })

  function answer(hostname: string, name: string): void {
    const shown = (flags & wsk.NI_NUMERICHOST) !== 0 ? address.address : hostname
    if (node !== null)
      node.value = (flags & wsk.NI_NOFQDN) !== 0 && isIP(shown) === 0 ? (shown.split('.')[0] ?? '') : shown
    if (service !== null) service.value = (flags & wsk.NI_NUMERICSERV) !== 0 ? String(address.port) : name
    request.complete(STATUS.STATUS_SUCCESS)
  }
}
