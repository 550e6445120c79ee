#!/bin/bash
# npm run test:verbs: the fabric provider over real RDMA verbs (SoftRoCE), in one virtual machine and in two.
set -euo pipefail
cd "$(dirname "$0")/../.."
vm=scripts/verbs/vm.sh

echo '── one machine: conformance, and hostile peers'
bash $vm env SOCKSWITCH_FABRIC_UNDER_TEST=verbs@10.88.0.1 \
  node --test --test-reporter=spec dist/test/conformance/fabric.test.js dist/test/fabric/hostile.test.js

echo '── two machines: 20 connections of an unmodified program, every byte verified'
run="SOCKSWITCH_FABRIC=verbs SOCKSWITCH_STATS_FILE=\$SHARE/connections node --require ./dist/register.cjs dist/test/soak/verified.js"
numbers='4711 20 4000000'
bash $vm -2 \
  "$run server $numbers 0 10.88.1.1 | tee \$SHARE/server" \
  "until grep -q port \$SHARE/server 2>/dev/null; do sleep 0.2; done
   port=\$(sed -n 's/.*\"port\":\([0-9]*\).*/\1/p' \$SHARE/server | head -1)
   $run client $numbers \$port 10.88.1.1
   cat \$SHARE/connections
   grep -q '\"connect\":[1-9]' \$SHARE/connections"
echo '── verbs ok'
