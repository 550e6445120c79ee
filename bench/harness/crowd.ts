import { spawn } from 'node:child_process'

/** Keeps processors busy with programs that do nothing else, until the returned function is called. */
export function crowd(programs: number): () => void {
  const running = Array.from({ length: programs }, () =>
    spawn(process.execPath, ['-e', 'for (;;);'], { stdio: 'ignore' }),
  )
  const end = (): void => {
    for (const program of running) program.kill('SIGKILL')
  }
  process.once('exit', end)
  return end
}
