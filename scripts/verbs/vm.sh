#!/bin/bash
# Runs commands of this machine in throw-away virtual machines that have real RDMA verbs in software (SoftRoCE, rdma_rxe).
#
#   vm.sh COMMAND...                  one machine, 10.88.0.1, where every peer uses the same device
#   vm.sh -2 'SHELL 1' 'SHELL 2'      two machines joined by a wire, 10.88.1.1 and 10.88.1.2, which have $WIRE at its ends;
#                                     and by another for those who cut that one, 10.88.2.1 and 10.88.2.2
#
# The root of a machine is this machine's, read-only, below a layer of memory: node, the checkout and libfabric are there under
# the same paths. $SHARE is a folder that both see. Needs Debian and root: packages that are missing are installed, the kernel is
# only unpacked. The status is the command's; with -2 the first that is not 0.
set -euo pipefail
. "$(dirname "$0")/../support/machine.sh"
MACHINES=1
if [ "${1:-}" = -2 ]; then MACHINES=2; shift; fi
CACHE=${SOCKSWITCH_VM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sockswitch-vm}
SHARE=$(mktemp -d /tmp/sockswitch-vm.XXXXXX)
LIMIT_S=${SOCKSWITCH_VM_LIMIT_S:-900}
BOOT_S=60
mkdir -p "$CACHE"

# write_script NUMBER COMMAND: what machine NUMBER does from its start to its end.
write_script() {
  cat >"$SHARE/machine$1" <<SCRIPT
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb LANG=C.UTF-8 SHARE=$SHARE
ulimit -l unlimited
ip link set lo up
with_mac() { basename "\$(dirname "\$(grep -l "\$1" /sys/class/net/*/address)")"; }
if [ $MACHINES = 2 ]; then
  export TMPDIR=$SHARE
  device=\$(with_mac 52:54:00:88:01:0$1); address=10.88.1.$1
  other=\$(with_mac 52:54:00:88:02:0$1); ip link set \$other up; ip addr add 10.88.2.$1/24 dev \$other
else
  ip link add rxe-a type veth peer name rxe-b; ip link set rxe-b mtu 4200 up; device=rxe-a; address=10.88.0.1
fi
ip link set \$device mtu 4200 2>/dev/null; ip link set \$device up; ip addr add \$address/24 dev \$device
rdma link add rxe0 type rxe netdev \$device
export WIRE=\$device
echo "vm $1: \$address, kernel \$(uname -r), \$(rdma link show | head -1)"
touch $SHARE/ready$1
cd $(printf %q "$PWD")
for i in \$(seq 600); do [ \$(ls $SHARE/ready* | wc -l) = $MACHINES ] && break; sleep 0.1; done
( set -eo pipefail
$2
)
echo \$? >$SHARE/status$1
sync
echo 1 >/proc/sys/kernel/sysrq; echo o >/proc/sysrq-trigger; sleep 60
SCRIPT
}

# A kernel that offers /dev/kvm without svm or vmx hangs a stock kernel; and without tsc_early_khz a microvm may hang as it starts.
boot() {
  local accelerator=tcg,thread=multi cpu=max khz network=(-nic none)
  if grep -qwE 'svm|vmx' /proc/cpuinfo && [ -w /dev/kvm ]; then accelerator=kvm cpu=host; fi
  khz=$(awk '/bogomips/ { print int($3 * 500); exit }' /proc/cpuinfo)
  if [ $MACHINES = 2 ]; then
    local server=$([ "$1" = 1 ] && echo on || echo off)
    network=(-netdev "stream,id=wire,server=$server,addr.type=unix,addr.path=$SHARE/wire"
      -device "virtio-net-pci,netdev=wire,mac=52:54:00:88:01:0$1"
      -netdev "stream,id=other,server=$server,addr.type=unix,addr.path=$SHARE/other"
      -device "virtio-net-pci,netdev=other,mac=52:54:00:88:02:0$1")
  fi
  timeout "$LIMIT_S" qemu-system-x86_64 -machine microvm,rtc=on,pcie=on -accel $accelerator -cpu $cpu -m 1536 \
    -smp $((MACHINES == 2 ? 1 : 2)) -display none -monitor none -serial stdio -no-reboot "${network[@]}" \
    -kernel "$KERNEL" -initrd "$INITRD" \
    -append "console=ttyS0 quiet panic=-1 tsc_early_khz=$khz tsc=reliable clocksource=tsc no_timer_check mitigations=off vmshare=$SHARE vmnumber=$1" \
    -virtfs local,path=/,mount_tag=root,security_model=none,readonly=on,multidevs=remap \
    -virtfs "local,path=$SHARE,mount_tag=share,security_model=none,multidevs=remap" </dev/null > >(sed -u 's/\r$//') &
  MACHINE[$1]=$!
}

declare -A MACHINE
stop() { for pid in "${MACHINE[@]}"; do kill "$pid" 2>/dev/null || true; done; rm -rf "$SHARE"; }
trap stop EXIT

install_missing qemu-system-x86:qemu-system-x86_64 busybox-static:/bin/busybox cpio:cpio kmod:depmod xz-utils:xz \
  iproute2:rdma ibverbs-providers:/etc/libibverbs.d/rxe.driver libfabric1:/usr/lib/x86_64-linux-gnu/libfabric.so.1
unpack_debian "$(. /etc/os-release && echo "$VERSION_CODENAME")" amd64 "$CACHE" linux-image-amd64
find_kernel "$CACHE/root"
INITRD=$CACHE/initrd-$RELEASE.gz
# Without crc32_generic rxe answers ENOENT.
make_initrd "$INITRD" "$CACHE/root" /bin/busybox virtio_pci virtio_net 9pnet_virtio 9p overlay veth crc32_generic rdma_rxe ib_uverbs rdma_ucm
if [ $MACHINES = 2 ]; then
  write_script 1 "$1"; write_script 2 "$2"
else
  write_script 1 "$(printf '%q ' "$@")"
fi
for attempt in 1 2 3; do
  rm -f "$SHARE"/ready* "$SHARE"/status* "$SHARE"/{wire,other}
  boot 1
  if [ $MACHINES = 2 ]; then
    for ((i = 0; i < 50; i++)); do [ -S "$SHARE/wire" ] && [ -S "$SHARE/other" ] && break; sleep 0.1; done
    boot 2
  fi
  for ((i = 0; i < BOOT_S * 5; i++)); do
    [ "$(find "$SHARE" -name 'ready*' | wc -l)" = $MACHINES ] && break 2
    sleep 0.2
  done
  echo "vm.sh: a machine did not come up (attempt $attempt)" >&2
  for pid in "${MACHINE[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait || true
done
for pid in "${MACHINE[@]}"; do wait "$pid" || true; done
result=0
for ((number = MACHINES; number > 0; number--)); do
  status=$(cat "$SHARE/status$number" 2>/dev/null || echo 125)
  [ "$status" = 0 ] || result=$status
done
exit "$result"
