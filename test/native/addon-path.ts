/** Where the addon that this process uses was loaded from. */
export function addonPath(): string {
  const report = process.report.getReport() as { readonly sharedObjects: readonly string[] }
  const found = report.sharedObjects.find((path) => path.endsWith('shm.node'))
  if (found === undefined) throw new Error('Cannot find the addon: it is not loaded')
  return found
}
