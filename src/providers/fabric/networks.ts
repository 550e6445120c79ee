import { networkInterfaces } from 'node:os'
import type { ServedSubnet } from '../../spi/index.ts'

/** The networks this host is on, without its own loopback. Link-local ones are left out: their addresses need a zone. */
export function localNetworks(): readonly ServedSubnet[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).flatMap(({ family, address, internal, cidr }) => {
      const prefixLength = Number(cidr?.split('/')[1] ?? Number.NaN)
      const isLinkLocal = address.toLowerCase().startsWith('fe80:')
      return internal || isLinkLocal || Number.isNaN(prefixLength) ? [] : [{ family, address, prefixLength }]
    }),
  )
}
