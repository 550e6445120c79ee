import { isWildcard } from '../../spi/index.ts'
import type { SockAddr } from './addresses.ts'
import { STATUS } from './status.ts'
import type { NtStatus } from './status.ts'

/** What a socket says about sharing before it is bound; both options off is `default`. */
export type SharingMode = 'default' | 'reuse' | 'exclusive'
type Kind = `${SharingMode} ${'W' | 'S'}`

/** What becomes of the second bind: it succeeds, the address is in use, it is denied, or the first socket's owner decides. */
export type SharingVerdict = 'OK' | 'USE' | 'DENY' | 'CHK'

/**
 * Row: the second bind, column: the first; W the wildcard, S a specific address.
 *
 * @source WSK-SHARE-1
 */
const SHARING: Readonly<Record<Kind, Readonly<Record<Kind, SharingVerdict>>>> = {
  'default W': row('USE', 'OK', 'USE', 'OK', 'USE', 'OK'),
  'default S': row('CHK', 'USE', 'CHK', 'DENY', 'DENY', 'USE'),
  'reuse W': row('DENY', 'OK', 'OK', 'OK', 'DENY', 'OK'),
  'reuse S': row('CHK', 'DENY', 'OK', 'OK', 'DENY', 'DENY'),
  'exclusive W': row('USE', 'USE', 'USE', 'USE', 'USE', 'USE'),
  'exclusive S': row('CHK', 'USE', 'CHK', 'USE', 'DENY', 'USE'),
}

function row(...verdicts: SharingVerdict[]): Record<Kind, SharingVerdict> {
  const kinds = ['default W', 'default S', 'reuse W', 'reuse S', 'exclusive W', 'exclusive S'] as const
  return Object.fromEntries(kinds.map((kind, at) => [kind, verdicts[at]])) as Record<Kind, SharingVerdict>
}

/** Says whether a socket of `owner` may share the address; what stands behind SO_WSK_SECURITY. */
export interface SecurityDescriptor {
  readonly maySharePort: (owner: unknown) => boolean
}

export interface Binding {
  readonly protocol: number
  readonly address: SockAddr
  readonly mode: SharingMode
  /** Who binds: the owning process given at creation, or the client. */
  readonly owner: unknown
  /** Undefined forbids sharing (WSK-SOCK-6). */
  readonly security: SecurityDescriptor | undefined
}

/** The addresses that the sockets of this process are bound to. It judges sharing, which the kernel knows otherwise. */
export class AddressTable {
  readonly #bindings = new Set<Binding>()

  /** Whether `binding` may be added, judged against every socket that is bound to the port. */
  judge(binding: Binding): NtStatus {
    if (binding.address.port === 0) return STATUS.STATUS_SUCCESS
    for (const first of this.#bindings) {
      const status = judgePair(binding, first)
      if (status !== STATUS.STATUS_SUCCESS) return status
    }
    return STATUS.STATUS_SUCCESS
  }

  add(binding: Binding): void {
    this.#bindings.add(binding)
  }

  delete(binding: Binding): void {
    this.#bindings.delete(binding)
  }
}

function judgePair(second: Binding, first: Binding): NtStatus {
  const other = first.address
  const { address } = second
  if (first.protocol !== second.protocol || other.port !== address.port || other.family !== address.family) {
    return STATUS.STATUS_SUCCESS
  }
  const wild = [isWildcard(address), isWildcard(other)]
  if (wild[0] === false && wild[1] === false && address.address !== other.address)
    return STATUS.STATUS_SUCCESS
  const verdict = SHARING[kindOf(second)][kindOf(first)]
  switch (verdict) {
    case 'OK':
      return STATUS.STATUS_SUCCESS
    case 'USE':
      return STATUS.STATUS_ADDRESS_ALREADY_EXISTS
    case 'DENY':
      return STATUS.STATUS_ACCESS_DENIED
    case 'CHK':
      return first.security?.maySharePort(second.owner) === true
        ? STATUS.STATUS_SUCCESS
        : STATUS.STATUS_ACCESS_DENIED
  }
}

function kindOf({ mode, address }: Binding): Kind {
  return `${mode} ${isWildcard(address) ? 'W' : 'S'}`
}
