#!/bin/bash
# npm run bench:verbs: round trips of 64 bytes over TCP and over verbs (SoftRoCE) in turn, in one virtual machine. Only the ratios of one
# run mean anything: the machine is emulated, many times slower than ours, and what spins there for 200 microseconds (profile balanced)
# sleeps before a message has come. So verbs run with profile latency, too.
set -euo pipefail
cd "$(dirname "$0")/../.."
case "$*" in
'') exec bash scripts/verbs/vm.sh bash scripts/verbs/bench.sh inside ;;
inside) ;;
*) echo "Cannot bench verbs: unknown argument '$1'" >&2 && exit 2 ;;
esac
measure() {
  local port
  taskset -c 0 node "${@:2}" dist/bench/apps/far.js server 10.88.0.1 >"/tmp/far.$1" &
  until [ -s "/tmp/far.$1" ]; do sleep 0.2; done
  port=$(tr -cd 0-9 <"/tmp/far.$1")
  echo "$1 $(taskset -c 1 node "${@:2}" dist/bench/apps/far.js client 10.88.0.1 "$port" 4000 200000 8000)" | tee -a /tmp/found
  kill %%
  rm "/tmp/far.$1"
  wait || true
}
for pair in 1 2 3; do
  measure tcp
  for profile in balanced latency; do
    SOCKSWITCH_FABRIC=verbs SOCKSWITCH_PROFILE=$profile measure "verbs-$profile" --import ./dist/bench/apps/only-fabric.js
  done
done
median() { sed -n "s/^$1 .*\"p50Us\":\([0-9.]*\).*/\1/p" /tmp/found | sort -n | sed -n 2p; }
tcp=$(median tcp)
echo "64 B round trip, medians: TCP $tcp us"
for profile in balanced latency; do
  awk -v us="$(median verbs-$profile)" -v tcp="$tcp" -v name="$profile" 'BEGIN { printf "verbs, profile %s: %.0f us, %.2fx\n", name, us, us / tcp }'
done
