#!/bin/bash
# npm run test:libfabric2: the fabric's tests over Debian 13's libfabric 2.x and its C library, which are bound over this machine's in
# a mount namespace of their own. Needs Debian 12, root and busybox-static; nothing is installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/support/machine.sh
CACHE=${SOCKSWITCH_DEBIAN13:-${XDG_CACHE_HOME:-$HOME/.cache}/sockswitch-debian13}
LIBRARIES=/usr/lib/x86_64-linux-gnu
PACKAGES='libfabric1 libibverbs1 ibverbs-providers librdmacm1t64 libnl-3-200 libnl-route-3-200 libnuma1 libpsm2-2 libc6 libgcc-s1 libstdc++6'

case "$*" in
'' | bound) ;;
*) echo "Cannot test with libfabric 2: unknown argument '$1'" >&2 && exit 2 ;;
esac
if [ "${1:-}" != bound ]; then
  unpack_debian trixie amd64 "$CACHE" $PACKAGES
  exec unshare --mount --propagation private bash "$0" bound
fi

# Programs need the C library and its loader at every moment: those two come last, by a program that needs neither.
busybox=$(mktemp -d)/busybox
cp /bin/busybox "$busybox"
new() { readlink -f "$CACHE/root$LIBRARIES/$1"; }
for library in "$CACHE/root$LIBRARIES"/*.so*; do
  name=$(basename "$library")
  case $name in libc.so.6 | ld-linux*) continue ;; esac
  ours=$(readlink -f "$LIBRARIES/$name" || true)
  [ -f "$ours" ] && mount --bind "$(new "$name")" "$ours"
done
loader=$(readlink -f $LIBRARIES/ld-linux-x86-64.so.2) libc=$(readlink -f $LIBRARIES/libc.so.6)
new_loader=$(new ld-linux-x86-64.so.2) new_libc=$(new libc.so.6)
"$busybox" mount --bind "$new_libc" "$libc"
"$busybox" mount --bind "$new_loader" "$loader"
"$busybox" rm -r "${busybox%/*}"
echo "── $(fi_info --version 2>/dev/null | sed -n 's/^libfabric: /libfabric /p' || true)"
exec node --test --test-concurrency=1 --test-reporter=dot dist/test/conformance/fabric.test.js dist/test/fabric/*.test.js
