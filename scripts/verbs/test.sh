#!/bin/bash
# npm run test:verbs [-- one|two]: the fabric provider over real RDMA verbs (SoftRoCE), in one virtual machine and in two.
set -euo pipefail
cd "$(dirname "$0")/../.."
case "$*" in
'' | one | two) ;;
*) echo "Cannot test verbs: unknown argument '$1'" >&2 && exit 2 ;;
esac
vm=scripts/verbs/vm.sh
tests='node --test --test-concurrency=1 --test-reporter=spec'

if [ "${1:-all}" != two ]; then
  echo '── one machine: conformance, in one process and in two, hostile peers, large sends'
  bash $vm env SOCKSWITCH_FABRIC_UNDER_TEST=verbs@10.88.0.1 $tests dist/test/conformance/fabric.test.js dist/test/fabric/{hostile,reads,large-sends}.test.js
fi
if [ "${1:-all}" != one ]; then
  echo '── two machines: unmodified programs; peers that are killed, a cut cable, a machine without power'
  remote='node dist/test/fabric/remote.js'
  between() {
    bash $vm -2 \
      "until $remote run 10.88.2.2 true 2>/dev/null; do sleep 0.2; done
       status=0
       SOCKSWITCH_FABRIC_MACHINES=10.88.1.1,10.88.1.2,\$(cat \$SHARE/device),10.88.2.2 SOCKSWITCH_FABRIC_UNDER_TEST=verbs@10.88.1.1 \
         TEST_PATIENCE=4 SOCKSWITCH_FABRIC_CONNECTIONS=20 SOCKSWITCH_FABRIC_BYTES=4000000 SOCKSWITCH_FABRIC_STREAM=4000000 \
         $* dist/test/fabric/hosts.test.js || status=\$?
       timeout 10 $remote stop 10.88.2.2 || true
       exit \$status" \
      "echo \$WIRE >\$SHARE/device; echo 0 >\$SHARE/status2; $remote serve 10.88.2.2"
  }
  between $tests
  between env SOCKSWITCH_FABRIC_POWER=off $tests "--test-name-pattern='loses its power'"
fi
echo '── verbs ok'
