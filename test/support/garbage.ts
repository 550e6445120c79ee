/** As `--expose-gc`, in a process that is running: from now on `globalThis.gc` is there. */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const gc = (globalThis.gc ??= runInNewContext('gc') as NodeJS.GCFunction)

export function collectGarbage(): void {
  gc()
}
