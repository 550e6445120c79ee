#!/bin/bash
# npm run bench:verbs: round trips of 64 bytes over TCP and over verbs (SoftRoCE) in turn, in one virtual machine. Only the ratio of one
# run means anything: the machine is emulated.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "${1:-}" != inside ]; then exec bash scripts/verbs/vm.sh bash scripts/verbs/bench.sh inside; fi
measure() {
  local port
  taskset -c 0 node "${@:2}" dist/bench/apps/far.js server 10.88.0.1 >"/tmp/far.$1" &
  until [ -s "/tmp/far.$1" ]; do sleep 0.2; done
  port=$(tr -cd 0-9 <"/tmp/far.$1")
  echo "$1 $(taskset -c 1 node "${@:2}" dist/bench/apps/far.js client 10.88.0.1 "$port" 4000 2000000)"
  kill %%
  rm "/tmp/far.$1"
  wait || true
}
for pair in 1 2 3; do
  measure tcp
  SOCKSWITCH_FABRIC=verbs measure verbs --import ./dist/bench/apps/only-fabric.js
done
