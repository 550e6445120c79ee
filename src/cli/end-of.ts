/**
 * `HOST:PORT`, `[IPV6]:PORT` or `PORT`, as one writes where to connect or to listen.
 *
 * @param firstPort The smallest port that makes sense there.
 * @throws Error that says what is valid.
 */
export function endOf(
  text: string,
  firstPort: 0 | 1,
): { readonly host: string | undefined; readonly port: number } {
  const [, bracketed, bare, digits = ''] = /^(?:(?:\[([^[\]]+)\]|([^:[\]]*)):)?(\d{1,5})$/.exec(text) ?? []
  const port = Number(digits)
  if (digits === '' || port < firstPort || port > 65_535)
    throw new Error(`valid are HOST:PORT, [IPV6]:PORT and PORT, ${String(firstPort)} to 65535`)
  return { host: bracketed ?? (bare === '' ? undefined : bare), port }
}

/** What went wrong, in words for people where Node has a function's name. */
export function plainly(error: unknown): string {
  const { code, syscall, hostname, message } = error as NodeJS.ErrnoException & { readonly hostname?: string }
  if (syscall !== 'getaddrinfo' || code === undefined) return message
  const host = JSON.stringify(hostname ?? '')
  return code === 'EAI_AGAIN'
    ? `the address of ${host} cannot be looked up now (${code})`
    : `no address is known for ${host} (${code})`
}
