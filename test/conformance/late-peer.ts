import { setImmediate as immediately } from 'node:timers/promises'

import type { Peer } from '../../conformance/index.ts'

/** A peer like `peer` whose every call takes turns of the event loop to get there and back, as one in another process does. */
export function latePeer(peer: Peer, turns = 3): Peer {
  async function travel(): Promise<void> {
    for (let turn = 0; turn < turns; turn++) await immediately()
  }
  return new Proxy(peer, {
    get(target, key) {
      const member: unknown = Reflect.get(target, key, target)
      if (typeof member !== 'function') return member
      return async (...args: unknown[]): Promise<unknown> => {
        await travel()
        try {
          return await (Reflect.apply(member, target, args) as Promise<unknown>)
        } finally {
          await travel()
        }
      }
    },
  })
}
