import type { ShmNative, Watcher } from '../../native/shm.ts'
import type { LinkHost } from './link-host.ts'

/** Visitors taken in one go: a crowd of others at the door must not stop the loop. */
const MAX_ACCEPTS = 16

/**
 * Where a process hears that another one is ready for it: that comes in and goes again, without a word. Only process `from`
 * is heard; where the name cannot be had, nobody is.
 */
export class Summons {
  readonly #native: ShmNative
  readonly #from: number
  readonly #heard: () => void
  #fd: number
  readonly #watcher: Watcher | undefined

  constructor(
    { native, turns }: Pick<LinkHost, 'native' | 'turns'>,
    name: string,
    from: number,
    heard: () => void,
  ) {
    this.#native = native
    this.#from = from
    this.#heard = heard
    this.#fd = native.listen(name)
    if (this.#fd >= 0) this.#watcher = turns.watch(this.#fd, this.#accept)
  }

  close(): void {
    this.#watcher?.close()
    if (this.#fd >= 0) this.#native.close(this.#fd)
    this.#fd = -1
  }

  readonly #accept = (): void => {
    for (let i = 0; i < MAX_ACCEPTS && this.#fd >= 0; i++) {
      const fd = this.#native.accept(this.#fd)
      if (fd < 0) return
      const peer = this.#native.peerCredentials(fd)
      this.#native.close(fd)
      if (typeof peer === 'object' && peer.pid === this.#from) this.#heard()
    }
  }
}

/** Tells whoever waits for us under `name`; nobody may, yet. */
export function summon(native: ShmNative, name: string): void {
  const fd = native.connect(name)
  if (fd >= 0) native.close(fd)
}
