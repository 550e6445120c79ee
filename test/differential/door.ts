import net from 'node:net'

/** How a program comes to the switch. */
export type Door = 'none' | 'preload' | 'explicit'

/** `net` as a program of the door that DOOR names has it; the children of the program inherit that. */
export async function netOfDoor(): Promise<typeof net> {
  if ((process.env['DOOR'] as Door | undefined) !== 'explicit') return net
  const { openExplicitDoor } = await import('./explicit-door.ts')
  return openExplicitDoor()
}
