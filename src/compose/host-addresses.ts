import { networkInterfaces } from 'node:os'

/** Answers whether the addresses of this host are other ones than when it was last asked; at first, than they are now. */
export function hostAddressesChanged(read: () => readonly string[] = hostAddresses): () => boolean {
  let known = read().join()
  return () => {
    const before = known
    known = read().join()
    return known !== before
  }
}

function hostAddresses(): readonly string[] {
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .map(({ address, netmask }) => `${address}/${netmask}`)
}
