// Builds everything: TypeScript to dist/, the register bundle, and the native addons where they can run. `--no-native`: without
// those. `--arm64`: for Linux arm64, too, with Debian's cross compiler; a package that is packed then serves both.
import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const options = process.argv.slice(2)
const unknown = options.find((word) => !['--no-native', '--arm64'].includes(word))
if (unknown !== undefined) {
  console.error(`Cannot build: unknown option '${unknown}'`)
  process.exit(2)
}

const root = join(import.meta.dirname ?? new URL('.', import.meta.url).pathname, '..')
const bin = (name) => join(root, 'node_modules', '.bin', name)
const run = (command, args, environment) =>
  execFileSync(command, args, { cwd: root, stdio: 'inherit', env: { ...process.env, ...environment } })

run(bin('tsc'), ['-p', '.'])

const { build } = await import('esbuild')
await build({
  entryPoints: [join(root, 'src/register.ts')],
  outfile: join(root, 'dist/register.cjs'),
  bundle: true,
  platform: 'node',
  format: 'cjs',
  target: 'node20',
  sourcemap: true,
  define: { 'import.meta.url': '__importMetaUrl' },
  banner: { js: "const __importMetaUrl = require('node:url').pathToFileURL(__filename).href;" },
  logLevel: 'warning',
})
// One file serves --import and --require, so that a process never holds two copies.
writeFileSync(join(root, 'dist/register.mjs'), "import './register.cjs'\n")
writeFileSync(join(root, 'dist/register.d.cts'), 'export {}\n')

if (options.includes('--no-native')) process.exit()
if (process.platform === 'linux' && ['x64', 'arm64'].includes(process.arch)) {
  if (options.includes('--arm64')) {
    buildAddons('arm64', { CC: 'aarch64-linux-gnu-gcc', CXX: 'aarch64-linux-gnu-g++' })
  }
  buildAddons(process.arch)
} else {
  console.log(
    `sockswitch: no native code for ${process.platform}-${process.arch}; every connection stays on TCP/IP`,
  )
}

function buildAddons(arch, compilers) {
  // npm says where its own node-gyp is; without npm around, look where npm usually stands.
  const gyp =
    process.env['npm_config_node_gyp'] ??
    join(process.execPath, '../../lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js')
  // Node usually comes with its headers; then nothing is downloaded.
  const home = join(process.execPath, '../..')
  const headers = existsSync(join(home, 'include/node/node_api.h')) ? [`--nodedir=${home}`] : []
  run(process.execPath, [gyp, 'rebuild', '-C', 'native', '--silent', `--arch=${arch}`, ...headers], compilers)
  const folder = join(root, 'prebuilds', `linux-${arch}`)
  mkdirSync(folder, { recursive: true })
  // Without libfabric's headers there is no fabric.node, and everything else works.
  for (const name of ['shm.node', 'fabric.node']) {
    const built = join(root, 'native/build/Release', name)
    if (existsSync(built)) copyFileSync(built, join(folder, name))
  }
}
