import { ADDRCONFIG, lookup, lookupService } from 'node:dns'
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
  portOf(service, hints, (port) => {
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
  // A number is one, whatever addresses this host has.
  const flags = isIP(name) === 0 ? ADDRCONFIG : 0
  const only = family === wsk.AF_INET ? 4 : family === wsk.AF_INET6 ? 6 : 0
  lookup(name, { all: true, family: only, hints: flags, verbatim: true }, (error, addresses) => {
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

/** The port of a service: a number, or a name of the protocol that is wanted, if any. */
function portOf(
  service: string | null,
  hints: AddrInfoHints | null,
  done: (port: number | undefined) => void,
): void {
  if (service === null || service === '') {
    done(0)
    return
  }
  if (/^\d+$/.test(service)) {
    const port = Number(service)
    done(port <= MAX_PORT ? port : undefined)
    return
  }
  const isUdp = hints?.socketType === wsk.SOCK_DGRAM || hints?.protocol === wsk.IPPROTO_UDP
  const isTcp = hints?.socketType === wsk.SOCK_STREAM || hints?.protocol === wsk.IPPROTO_TCP
  services((all) => {
    const wanted = all.filter(({ protocol }) => (protocol === 'udp' ? !isTcp : !isUdp))
    done(wanted.find(({ names }) => names.includes(service))?.port)
  })
}

interface Service {
  readonly names: readonly (string | undefined)[]
  readonly port: number
  readonly protocol: string | undefined
}

/** None where the host has no list of them. */
function services(done: (all: readonly Service[]) => void): void {
  readFile(SERVICES, 'utf8', (_error, text: string | undefined) => {
    const lines = (text ?? '').split('\n').map((line) => line.replace(/#.*/, '').trim().split(/\s+/))
    const all = lines.map(([name, at = '', ...aliases]) => {
      const [port, protocol] = at.split('/')
      return { names: [name, ...aliases], port: Number(port), protocol }
    })
    done(all.filter(({ port, protocol }) => Number.isInteger(port) && protocol !== undefined))
  })
}

/** WSK-NAME-5: the names of an address and its port, or the numbers where there are none. */
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
  hostName(address, flags, (name) => {
    if (name === undefined) {
      request.complete(STATUS.STATUS_NO_MATCH)
      return
    }
    serviceName(address.port, flags, (entry) => {
      if (request.over) return
      if (node !== null) node.value = name
      if (service !== null) service.value = entry
      request.complete(STATUS.STATUS_SUCCESS)
    })
  })
}

/** Undefined where a name is required and there is none. */
function hostName(
  { address, port }: SockAddr,
  flags: number,
  done: (name: string | undefined) => void,
): void {
  if ((flags & wsk.NI_NUMERICHOST) !== 0) {
    done(address)
    return
  }
  lookupService(address, port, (error, name) => {
    if (error !== null || name === address) done((flags & wsk.NI_NAMEREQD) === 0 ? address : undefined)
    else done((flags & wsk.NI_NOFQDN) === 0 ? name : name.split('.')[0])
  })
}

function serviceName(port: number, flags: number, done: (name: string) => void): void {
  if ((flags & wsk.NI_NUMERICSERV) !== 0) {
    done(String(port))
    return
  }
  const wanted = (flags & wsk.NI_DGRAM) === 0 ? 'tcp' : 'udp'
  services((all) => {
    const found = all.find((service) => service.port === port && service.protocol === wanted)
    done(found?.names[0] ?? String(port))
  })
}
