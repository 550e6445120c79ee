import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { FabricNative } from './fabric.ts'
import type { ShmNative } from './shm.ts'

/** Goes up whenever a function of an addon changes; `native/interface.h` holds the same number. */
const INTERFACE = 2

export type Loaded<Native = ShmNative> = { readonly native: Native } | { readonly reason: string }

let loaded: Loaded | undefined
let loadedFabric: Loaded<FabricNative> | undefined

/** Loads `shm.node` once: the prebuilt one, else the one built here. A failure says what was tried and the remedy. */
export function loadShm(): Loaded {
  loaded ??= load<ShmNative>('shm.node')
  return loaded
}

/** Loads `fabric.node` and, with it, libfabric, once. */
export function loadFabric(): Loaded<FabricNative> {
  loadedFabric ??= usable(load<FabricNative>('fabric.node'))
  return loadedFabric
}

function usable(fabric: Loaded<FabricNative>): Loaded<FabricNative> {
  if ('reason' in fabric) {
    return { reason: `${fabric.reason}; it is built where libfabric's headers are (Debian: libfabric-dev)` }
  }
  const { problem } = fabric.native
  return problem === ''
    ? fabric
    : { reason: `${problem}; install libfabric 1.17 or later (Debian: libfabric1)` }
}

function load<Native>(name: string): Loaded<Native> {
  if (process.platform !== 'linux') return { reason: `there is no native code for ${process.platform}` }
  const root = packageRoot()
  const require = createRequire(join(root, 'package.json'))
  const tried: string[] = []
  for (const path of [
    join(root, 'prebuilds', `${process.platform}-${process.arch}`, name),
    join(root, 'native', 'build', 'Release', name),
  ]) {
    try {
      const addon = require(path) as Native & { readonly interface?: number }
      if (addon.interface === INTERFACE) return { native: addon }
      tried.push(`${path} (built for another version of sockswitch)`)
    } catch (error) {
      tried.push(`${path} (${firstLine(error)})`)
    }
  }
  const remedy = existsSync(join(root, 'scripts', 'build.mjs'))
    ? 'build it with: npm run build'
    : `install a package that was built for ${process.platform}-${process.arch}`
  return { reason: `no native code could be loaded; tried ${tried.join(' and ')}; ${remedy}` }
}

function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json')) && dirname(folder) !== folder) folder = dirname(folder)
  return folder
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? ''
}
