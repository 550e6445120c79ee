import { freshName, native } from '../attack/channel.ts'
import { python } from '../support/python.ts'

/**
 * Node cannot make memory with seals of its own choice, nor map any; Python can. It makes two pages that begin with `x`, or
 * probes what it is given as descriptor 3.
 */
const SCRIPT = String.raw`
import ctypes, errno, fcntl, json, mmap, os, socket, sys
ADD_SEALS, SEAL, SHRINK, GROW, WRITE, FUTURE_WRITE = 1033, 1, 2, 4, 8, 16
BYTES = 8192

def outcome(attempt):
    try:
        attempt()
        return 'ok'
    except OSError as error:
        return errno.errorcode[error.errno]

def checked(result):
    if result != 0:
        raise OSError(ctypes.get_errno(), 'failed')

def probe():
    libc = ctypes.CDLL(None, use_errno=True)
    size = os.fstat(3).st_size
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    readable = libc.mmap(None, size, mmap.PROT_READ, mmap.MAP_SHARED, 3, 0)
    libc.fallocate.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_long]
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    print(json.dumps({
        'map shared read-write': outcome(lambda: mmap.mmap(3, size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)),
        'map shared read-only': outcome(lambda: mmap.mmap(3, size, mmap.MAP_SHARED, mmap.PROT_READ)),
        'make that writable': outcome(lambda: checked(libc.mprotect(readable, size, mmap.PROT_READ | mmap.PROT_WRITE))),
        'punch a hole': outcome(lambda: checked(libc.fallocate(3, 3, 0, 4096))),
        'add a seal': outcome(lambda: fcntl.fcntl(3, ADD_SEALS, SEAL)),
    }))

def make(what, name):
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    fd = os.memfd_create('foreign', flags | (os.MFD_HUGETLB if what == 'huge pages' else 0))
    os.ftruncate(fd, BYTES if what != 'huge pages' else 2 << 20)
    if what == 'a hole':
        os.posix_fallocate(fd, 0, BYTES // 2)
    elif what not in ('all holes', 'huge pages'):
        os.posix_fallocate(fd, 0, BYTES)
        os.pwrite(fd, b'x', 0)
    missing = {
        'no seals': SEAL | SHRINK | GROW | FUTURE_WRITE,
        'no seal against shrinking': SHRINK,
        'no seal against growing': GROW,
        'no seal against writing': FUTURE_WRITE,
        'no seal against sealing': SEAL,
        'sealed against all writing': FUTURE_WRITE,
    }.get(what, 0)
    seals = (SEAL | SHRINK | GROW | FUTURE_WRITE) & ~missing
    if what == 'sealed against all writing':
        seals |= WRITE
    if seals:
        fcntl.fcntl(fd, ADD_SEALS, seals)
    if what == 'as ours, read-only descriptor':
        fd = os.open('/proc/self/fd/%d' % fd, os.O_RDONLY)
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.connect('\0' + name)
    socket.send_fds(channel, [b'memory'], [fd])
    print(json.dumps({}))

probe() if sys.argv[1] == 'probe' else make(sys.argv[1], sys.argv[2])
`

/** What the script answers, with `fd` where it made memory. */
export function foreignMemory(what: string, given?: number): Readonly<Record<string, unknown>> {
  const name = freshName()
  const listener = native.listen(name)
  try {
    const answer = JSON.parse(python(SCRIPT, [what, name], given)) as Record<string, unknown>
    if (given !== undefined) return answer
    const channel = native.accept(listener)
    const got = native.receive(channel)
    native.close(channel)
    if (typeof got === 'number') throw new Error(`Cannot receive the memory: ${got}`)
    return { ...answer, fd: got.fds[0] }
  } finally {
    native.close(listener)
  }
}
