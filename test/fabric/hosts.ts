import { execFileSync } from 'node:child_process'

/** A host: its address, and what runs a program there. */
export interface Host {
  readonly address: string
  readonly within: readonly string[]
}

/** Two hosts, as far as networking goes: network namespaces joined by a cable that can be cut. Needs root and iproute2. */
export class Hosts {
  readonly server: Host
  readonly client: Host
  readonly #names: readonly [string, string]

  /** The hosts, or why there can be none. */
  static make(): Hosts | string {
    try {
      return new Hosts()
    } catch (error) {
      return `needs root and iproute2: ${(error as Error).message.split('\n')[0] ?? ''}`
    }
  }

  private constructor() {
    const mark = process.pid.toString(36)
    const names = [`sw${mark}a`, `sw${mark}b`] as const
    this.#names = names
    for (const name of names) ip('netns', 'add', name)
    process.on('exit', () => {
      this.remove()
    })
    const cables = [`sw${mark}x`, `sw${mark}y`] as const
    ip('link', 'add', cables[0], 'type', 'veth', 'peer', 'name', cables[1])
    for (const [i, name] of names.entries()) {
      ip('link', 'set', cables[i] ?? '', 'netns', name, 'name', 'eth0')
      ip('-n', name, 'addr', 'add', `10.77.0.${String(i + 1)}/24`, 'dev', 'eth0')
      ip('-n', name, 'link', 'set', 'lo', 'up')
      ip('-n', name, 'link', 'set', 'eth0', 'up')
    }
    this.server = { address: '10.77.0.1', within: ['ip', 'netns', 'exec', names[0]] }
    this.client = { address: '10.77.0.2', within: ['ip', 'netns', 'exec', names[1]] }
  }

  /** Pulls the cable at the server, as a power failure there looks from the client. */
  cut(): void {
    ip('-n', this.#names[0], 'link', 'set', 'eth0', 'down')
  }

  mend(): void {
    ip('-n', this.#names[0], 'link', 'set', 'eth0', 'up')
  }

  remove(): void {
    for (const name of this.#names) {
      try {
        ip('netns', 'del', name)
      } catch {
        // It was removed before.
      }
    }
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
