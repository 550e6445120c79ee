// `npm run api`: the documentation of everything that package.json exports, into .bench/api. What is wrong with it is an error.
import { Comment, CommentTag, Converter, OptionDefaults, ReflectionKind } from 'typedoc'

/** What one gets by each path of the package. */
const MODULES = {
  'src/index.ts': 'sockswitch',
  'src/net.ts': 'sockswitch/net',
  'src/wsk.ts': 'sockswitch/wsk',
  'src/winsock.ts': 'sockswitch/winsock',
  'src/spi/index.ts': 'sockswitch/spi',
  'src/san/index.ts': 'sockswitch/san',
  'conformance/index.ts': 'sockswitch/conformance',
}

/** Where a declaration stands says what it is about; the first that fits. */
const CATEGORIES = [
  ['src/wsk.ts', 'Where it begins'],
  ['src/faces/wsk/wsk.ts', 'Where it begins'],
  ['src/faces/wsk/provider-dispatch.ts', 'Where it begins'],
  ['src/faces/wsk/idiomatic.ts', 'For people who like TypeScript more than dispatch tables'],
  ['src/faces/wsk/dispatch.ts', 'Sockets, their functions and callbacks'],
  ['src/faces/wsk/irp.ts', 'IRPs'],
  ['src/faces/wsk/buffer.ts', 'Buffers and out parameters'],
  ['src/faces/wsk/addresses.ts', 'Addresses and names'],
  ['src/faces/wsk/names.ts', 'Addresses and names'],
  ['src/faces/wsk/sharing.ts', 'Addresses and names'],
  ['src/faces/wsk/constants.ts', 'Constants'],
  ['src/faces/wsk/status', 'Status codes'],
  ['src/faces/wsk/', 'What a subsystem is made of'],
  ['src/winsock.ts', 'Where it begins'],
  ['src/faces/winsock/constants.ts', 'Constants'],
  ['src/faces/winsock/', 'Sockets'],
  ['src/spi/errors.ts', 'Codes'],
  ['src/spi/', 'The interface of a provider'],
  ['src/net.ts', 'Sockets and servers'],
  ['src/faces/net/', 'Judging peers'],
  ['src/switch/', 'The switch'],
  ['src/providers/', 'Providers'],
]

/** Behind what is exported, and nobody's business: what derived types are derived from, and parts of objects that are handed around. */
const OPAQUE = [
  ...['ACTIONS', 'ROLES', 'ROWS', 'TRANSITIONS', 'StateOf', 'ByFlag', 'WskSocketOf', 'ConnectionListener'],
  ...['AttemptHost', 'GroupHost', 'Quota', 'NativeCall', 'Passages', 'Routes', 'Turns'],
  ...['Orphan', 'StartedProvider'],
  ...['Face', 'Home', 'OptionLevel', 'WinsockState', 'Liveness'],
  ...['Fixture', 'Outcome', 'Station'],
  ...['Judged', 'Subnet'],
]

/** What inherited comments link to, and another entry point exports: text, where they are shown. */
const ELSEWHERE = [
  'SOMAXCONN',
  'SanProvider.socket',
  'SanSocket.signal',
  'SocketRequest.duplicate',
  'ProviderLimits.duplicates',
  'ProviderLimits.maxMemoryBytes',
]

function linkElsewhere(app) {
  app.converter.addUnknownSymbolResolver(({ symbolReference }) => {
    const name = symbolReference?.path?.map(({ path }) => path).join('.')
    return ELSEWHERE.includes(name) ? '#' : undefined
  })
}

function categorize(app) {
  app.converter.on(Converter.EVENT_CREATE_DECLARATION, (context, reflection) => {
    const file =
      context.getSymbolFromReflection(reflection)?.declarations?.[0]?.getSourceFile().fileName ?? ''
    if (reflection.kindOf(ReflectionKind.Module)) {
      reflection.name =
        Object.entries(MODULES).find(([entry]) => file.endsWith(`/${entry}`))?.[1] ?? reflection.name
      return
    }
    if (!reflection.parent?.kindOf(ReflectionKind.Module)) return
    const category = CATEGORIES.find(([part]) => file.includes(`/${part}`))?.[1]
    if (category === undefined) return
    reflection.comment ??= new Comment()
    reflection.comment.blockTags.push(new CommentTag('@category', [{ kind: 'text', text: category }]))
  })
}

/** @type {Partial<import('typedoc').TypeDocOptions>} */
export default {
  entryPoints: Object.keys(MODULES).map((entry) => `../${entry}`),
  name: 'sockswitch',
  out: '../.bench/api',
  blockTags: [...OptionDefaults.blockTags, '@source'],
  disableSources: true,
  excludeExternals: true,
  excludeInternal: true,
  excludePrivate: true,
  excludeProtected: true,
  categorizeByGroup: false,
  navigation: { includeCategories: true },
  categoryOrder: [
    'Where it begins',
    'For people who like TypeScript more than dispatch tables',
    '*',
    'Constants',
    'Status codes',
  ],
  intentionallyNotExported: OPAQUE,
  externalSymbolLinkMappings: { sockswitch: { Link: '#' } },
  treatWarningsAsErrors: true,
  plugin: [categorize, linkElsewhere],
}
