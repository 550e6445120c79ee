import type { RegisteredMemory } from '../spi/index.ts'

/** What one end of a connection has registered beyond its region. */
export class FurtherMemory<M extends RegisteredMemory> {
  /** Few, and none for most connections. */
  #all: M[] | undefined

  add(memory: M): void {
    ;(this.#all ??= []).push(memory)
  }

  /** Undefined when `memory` is not registered here. */
  find(memory: RegisteredMemory): M | undefined {
    return this.#all?.find((one) => one === memory)
  }

  /** As {@link find}; it is not registered any more then. */
  remove(memory: RegisteredMemory): M | undefined {
    const found = this.find(memory)
    if (found !== undefined) this.#all = this.#all?.filter((one) => one !== found)
    return found
  }

  /** All of it; nothing is registered any more. */
  clear(): readonly M[] {
    const all = this.#all ?? []
    this.#all = undefined
    return all
  }
}
