# What scripts that run tests in virtual machines, or with another Debian's libraries, have in common. To be sourced.

# install_missing PACKAGE:PROGRAM_OR_FILE...: installs packages of Debian whose program or file is not there.
install_missing() {
  local missing=() package
  for package; do
    command -v "${package#*:}" >/dev/null || [ -e "${package#*:}" ] || missing+=("${package%%:*}")
  done
  [ ${#missing[@]} = 0 ] && return
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# unpack_debian SUITE ARCHITECTURE FOLDER PACKAGE...: unpacks packages of Debian into FOLDER/root, once for these packages; nothing is
# installed. `linux-image-ARCHITECTURE` stands for the newest kernel.
unpack_debian() {
  local suite=$1 architecture=$2 folder=$3 options package packages
  shift 3
  [ "$(cat "$folder/holds" 2>/dev/null)" = "$suite $*" ] && return
  # Only what was made here before.
  [ -e "$folder/sources.list" ] && rm -rf "$folder"/{packages,unpacked,root}
  mkdir -p "$folder"/apt/{lists,archives}/partial "$folder/packages"
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian $suite main" >"$folder/sources.list"
  options=(-qq -o APT::Architecture="$architecture" -o APT::Architectures="$architecture" -o Dir::Etc::sourcelist="$folder/sources.list"
    -o Dir::Etc::sourceparts=- -o Dir::State::lists="$folder/apt/lists" -o Dir::Cache="$folder/apt" -o Dir::State::status=/dev/null
    -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  packages=("${@/#linux-image-$architecture/$(apt-cache "${options[@]}" depends "linux-image-$architecture" | awk '/Depends: linux-image-[0-9]/ { print $2; exit }')}")
  (cd "$folder/packages" && apt-get "${options[@]}" download "${packages[@]}")
  for package in "$folder"/packages/*.deb; do dpkg -x "$package" "$folder/unpacked"; done
  rm -r "$folder/packages"
  mv "$folder/unpacked" "$folder/root"
  echo "$suite $*" >"$folder/holds"
}

# find_kernel FOLDER: sets KERNEL and RELEASE to the kernel below FOLDER, whose modules are indexed.
find_kernel() {
  KERNEL=$(ls "$1"/boot/vmlinuz-*)
  RELEASE=${KERNEL##*/vmlinuz-}
  [ -f "$1/lib/modules/$RELEASE/modules.dep" ] || depmod -b "$1" "$RELEASE"
}

# make_initrd FILE KERNEL_ROOT BUSYBOX MODULE...: busybox and kernel modules. It puts a layer of memory over the 9p file system
# `root`, mounts `share` and, where there is one, `work` at the same paths as here, and runs the script `machineN` of `share`.
make_initrd() {
  local initrd=$1 kernel_root=$2 busybox=$3 root module file name
  shift 3
  [ "$initrd" -nt "${BASH_SOURCE[0]}" ] && [ "$initrd" -nt "$0" ] && return
  root=$(mktemp -d)
  mkdir -p "$root"/{bin,modules,proc,sys,dev,host,layer,root}
  cp "$busybox" "$root/bin/busybox"
  for module; do
    modprobe -d "$kernel_root" -S "$RELEASE" --show-depends "$module" 2>/dev/null | awk '$1 == "insmod" { print $2 }' || true
  done | awk '!seen[$0]++' | while read -r file; do
    name=$(basename "$file")
    case $name in
      *.xz) xz -dc "$file" >"$root/modules/${name%.xz}"; name=${name%.xz} ;;
      *) cp "$file" "$root/modules/" ;;
    esac
    echo "$name" >>"$root/modules/order"
  done
  cat >"$root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t proc proc /proc; $b mount -t sysfs sys /sys; $b mount -t devtmpfs dev /dev
for m in $($b cat /modules/order); do $b insmod /modules/$m || echo "insmod $m failed"; done
$b mount -t tmpfs -o size=75% layer /layer; $b mkdir /layer/upper /layer/work
share9p=trans=virtio,version=9p2000.L,msize=512000
$b mount -t 9p -o $share9p,ro,cache=loose root /host
$b mount -t overlay -o lowerdir=/host,upperdir=/layer/upper,workdir=/layer/work root /root
for d in proc sys dev; do $b mkdir -p /root/$d; $b mount -o move /$d /root/$d; done
$b mkdir -p /root/dev/shm /root/dev/pts /root/run /root/tmp
$b mount -t tmpfs shm /root/dev/shm; $b mount -t devpts pts /root/dev/pts; $b mount -t tmpfs run /root/run
argument() { $b sed -n "s/.*$1=\([^ ]*\).*/\1/p" /root/proc/cmdline; }
share=$(argument vmshare) work=$(argument vmwork)
if [ -n "$work" ]; then $b mkdir -p /root$work; $b mount -t 9p -o $share9p,ro,cache=loose work /root$work; fi
$b mkdir -p /root$share
$b mount -t 9p -o $share9p,cache=none share /root$share
exec $b chroot /root /bin/bash $share/machine$(argument vmnumber)
INIT
  chmod +x "$root/init"
  (cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$initrd"
  rm -rf "$root"
}
