import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** A host: its address, and what runs a program there. */
export interface Host {
  readonly address: string
  readonly within: readonly string[]
}

/** Two hosts joined by a cable that can be cut. */
export interface Hosts {
  readonly server: Host
  readonly client: Host
  /** Pulls the cable at the server, as a power failure there looks from the client. */
  cut(): void
  mend(): void
  /** Takes the server's power for good; undefined where it has none of its own, or is needed. */
  readonly powerOff?: (() => void) | undefined
  remove(): void
}

/**
 * The hosts, or why there can be none: the machines that `SOCKSWITCH_FABRIC_MACHINES` names, as `npm run test:verbs` does;
 * otherwise two network namespaces, which need root and iproute2.
 */
export function makeHosts(): Hosts | string {
  const machines = process.env['SOCKSWITCH_FABRIC_MACHINES']
  if (machines !== undefined) return new Machines(machines)
  try {
    return new Namespaces()
  } catch (error) {
    return `needs root and iproute2: ${(error as Error).message.split('\n')[0] ?? ''}`
  }
}

/** Two hosts, as far as networking goes. */
class Namespaces implements Hosts {
  readonly server: Host
  readonly client: Host
  readonly #names: readonly [string, string]

  constructor() {
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

/** This machine and another, where remote.ts serves at an address that no cable of ours carries. */
class Machines implements Hosts {
  readonly server: Host
  readonly client: Host
  readonly #device: string

  /** @param text Our address, the other's, its device there, and where it serves: `10.0.0.1,10.0.0.2,eth0,10.1.0.2`. */
  constructor(text: string) {
    const [ours = '', theirs = '', device = '', control = ''] = text.split(',')
    const remote = fileURLToPath(new URL('./remote.js', import.meta.url))
    this.client = { address: ours, within: [] }
    this.server = {
      address: theirs,
      within: ['env', 'SOCKSWITCH=off', process.execPath, remote, 'run', control],
    }
    this.#device = device
  }

  cut(): void {
    this.#there('ip', 'link', 'set', this.#device, 'down')
  }

  mend(): void {
    this.#there('ip', 'link', 'set', this.#device, 'up')
  }

  get powerOff(): (() => void) | undefined {
    if (process.env['SOCKSWITCH_FABRIC_POWER'] !== 'off') return undefined
    return () => {
      // The answer would be lost with the machine.
      this.#there('sh', '-c', '(sleep 0.5; echo o >/proc/sysrq-trigger) >/dev/null 2>&1 &')
    }
  }

  remove(): void {
    // They were here before.
  }

  #there(...command: readonly string[]): void {
    const [run = '', ...args] = [...this.server.within, ...command]
    execFileSync(run, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  }
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'pipe'] })
}
