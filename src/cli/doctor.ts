import { spawnSync } from 'node:child_process'
import { createServer } from 'node:net'
import { availableParallelism } from 'node:os'
import { fileURLToPath } from 'node:url'
import type { AddressInfo } from 'node:net'
import { readConfig } from '../compose/config.ts'
import { FABRICS, FABRIC_REMEDIES } from '../compose/fabric.ts'
import type { FabricNative } from '../native/fabric.ts'
import { loadFabric, loadShm } from '../native/load.ts'
import type { ShmNative } from '../native/shm.ts'
import { deviceText } from './format.ts'

/** One thing that has to work, or would help. */
interface Check {
  readonly name: string
  /** `ok`; `slower`: works, but; `broken`: connections stay on TCP/IP. */
  readonly verdict: 'ok' | 'slower' | 'broken'
  readonly detail: string
  readonly remedy?: string
}

/** Tells what can work here and what cannot; 0 when connections can be carried over shared memory. */
export async function doctor(options: { json: boolean }): Promise<number> {
  const checks = await examine()
  if (options.json) {
    console.log(JSON.stringify({ checks }, null, 2))
  } else {
    for (const { name, verdict, detail, remedy } of checks) {
      console.log(`${MARKS[verdict]} ${name}: ${detail}`)
      if (remedy !== undefined) console.log(`         remedy: ${remedy}`)
    }
  }
  return checks.some((check) => check.verdict === 'broken') ? 1 : 0
}

const MARKS = { ok: 'ok      ', slower: 'slower  ', broken: 'broken  ' } as const

async function examine(): Promise<Check[]> {
  const loaded = loadShm()
  if ('reason' in loaded) {
    return [
      {
        name: 'native code',
        verdict: 'broken',
        detail: loaded.reason,
        remedy: 'use Linux on x64 or arm64; from a checkout run: npm run build',
      },
    ]
  }
  const { native } = loaded
  return [
    {
      name: 'native code',
      verdict: 'ok',
      detail: `loaded for ${process.platform}-${process.arch}, node ${process.version}`,
    },
    sealedMemory(native),
    rendezvous(native),
    await listenerOwner(native),
    cpus(),
    fabricCheck(),
    environment(),
    carried(),
  ]
}

function sealedMemory(native: ShmNative): Check {
  const name = 'sealed shared memory'
  const bytes = 4096
  const memory = native.createMemory(bytes)
  if (typeof memory === 'number') {
    return {
      name,
      verdict: 'broken',
      detail: `memfd_create failed (errno ${String(-memory)})`,
      remedy: 'a kernel of 5.1 or later, and room in the memory cgroup',
    }
  }
  const mapped = native.mapMemory(memory.fd, bytes)
  native.close(memory.fd)
  native.unmap(memory.buffer)
  if (typeof mapped === 'number') {
    return {
      name,
      verdict: 'broken',
      detail: `the seals do not hold (errno ${String(-mapped)})`,
      remedy: 'a kernel of 5.1 or later',
    }
  }
  native.unmap(mapped)
  return { name, verdict: 'ok', detail: 'can be made, sealed and mapped read-only' }
}

function rendezvous(native: ShmNative): Check {
  const name = 'rendezvous'
  const listener = native.listen(`sockswitch/doctor/${String(process.pid)}`)
  if (listener < 0) {
    return {
      name,
      verdict: 'broken',
      detail: `abstract Unix sockets cannot be made (errno ${String(-listener)})`,
      remedy: 'allow AF_UNIX sockets in the sandbox or seccomp profile',
    }
  }
  native.close(listener)
  return {
    name,
    verdict: 'ok',
    detail: 'abstract Unix sockets work; processes meet within one network namespace',
  }
}

async function listenerOwner(native: ShmNative): Promise<Check> {
  const name = 'owner of a TCP listener'
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const found = native.findTcpListener('127.0.0.1', (server.address() as AddressInfo).port)
  server.close()
  if (typeof found !== 'number' && found.uid === process.getuid?.()) {
    return { name, verdict: 'ok', detail: 'the kernel tells (sock_diag)' }
  }
  return {
    name,
    verdict: 'broken',
    detail: 'the kernel does not tell, so no peer can be trusted',
    remedy: 'modprobe inet_diag tcp_diag; allow AF_NETLINK sockets in the sandbox or seccomp profile',
  }
}

/** Nothing is broken without it: it carries connections to other hosts, where the user asks for that. */
function fabricCheck(): Check {
  const name = 'fabric'
  const wanted = process.env['SOCKSWITCH_FABRIC'] ?? 'off'
  const loaded = loadFabric()
  if ('reason' in loaded) {
    const verdict = wanted === 'off' ? 'ok' : 'slower'
    return { name, verdict, detail: `connections to other hosts stay on TCP/IP: ${loaded.reason}` }
  }
  const found = FABRICS.flatMap((provider) =>
    provider === 'off' ? [] : fabricDevices(loaded.native, provider),
  )
  const detail = `libfabric ${loaded.native.version}: ${found.join('; ') || 'no provider that connects'}; SOCKSWITCH_FABRIC=${wanted}`
  if (wanted === 'off')
    return { name, verdict: 'ok', detail, ...(found.length > 0 && { remedy: FABRIC_ADVICE }) }
  return found.some((each) => each.startsWith(`${wanted} on `))
    ? { name, verdict: 'ok', detail }
    : {
        name,
        verdict: 'slower',
        detail: `connections to other hosts stay on TCP/IP: ${detail}`,
        remedy: fabricRemedy(wanted),
      }
}

const FABRIC_ADVICE =
  'SOCKSWITCH_FABRIC=verbs on both hosts where there are RDMA devices; =tcp pays for short messages between hosts with CPUs to spare (docs/fabric.md)'

function fabricRemedy(wanted: string): string {
  return wanted === 'tcp' || wanted === 'verbs' ? FABRIC_REMEDIES[wanted] : FABRIC_ADVICE
}

function fabricDevices(native: FabricNative, provider: string): string[] {
  const endpoints = new native.Fabric(provider, 1, 64, 1, 1, 64)
  const devices = endpoints.open() === 0 ? endpoints.devices() : []
  endpoints.destroy()
  return devices.length === 0 ? [] : [`${provider} on ${deviceText(devices)}`]
}

function cpus(): Check {
  const count = availableParallelism()
  return count > 1
    ? { name: 'CPUs', verdict: 'ok', detail: `${String(count)} usable; waiting may spin` }
    : {
        name: 'CPUs',
        verdict: 'slower',
        detail: 'one usable, so waiting never spins',
        remedy: 'give the container a second CPU for latencies below 10 µs',
      }
}

function environment(): Check {
  const name = 'environment'
  try {
    const { mode, rules } = readConfig(process.env)
    if (mode !== 'on') {
      const detail =
        mode === 'off'
          ? 'SOCKSWITCH=off turns switching off'
          : 'SOCKSWITCH=observe only counts what would be switched'
      return { name, verdict: 'broken', detail, remedy: 'unset SOCKSWITCH' }
    }
    return {
      name,
      verdict: 'ok',
      detail: `nothing turns switching off; rules: ${rules.length === 0 ? 'none' : String(rules.length)}`,
    }
  } catch (error) {
    return { name, verdict: 'broken', detail: (error as Error).message, remedy: 'set it right, or unset it' }
  }
}

/** The proof: a server and a client in one switched process. */
function carried(): Check {
  const name = 'a connection'
  const register = fileURLToPath(new URL('../../register.cjs', import.meta.url))
  const script = `
    const net = require('node:net')
    const server = net.createServer((s) => s.pipe(s)).listen(0, '127.0.0.1', () => {
      const c = net.connect(server.address().port, '127.0.0.1', () => c.end('x'))
      c.on('data', () => console.log(c._handle.fd === -1 ? 'san' : 'tcpip')).on('close', () => server.close())
    })`
  const result = spawnSync(process.execPath, ['--require', register, '-e', script], {
    encoding: 'utf8',
    timeout: 5000,
  })
  if (result.stdout.trim() === 'san') return { name, verdict: 'ok', detail: 'was carried over shared memory' }
  return {
    name,
    verdict: 'broken',
    detail: `stayed on TCP/IP ${result.stderr.trim()}`.trim(),
    remedy: 'see the lines above, and `sockswitch explain` where there are rules',
  }
}
