#!/bin/bash
# cuDNN's plans for every number of tokens and heads of the networks, each way, deterministic or not, on three
# described cards: the whole matrix of which `make test` builds a part. Needs the toolkit's cuDNN.
set -u
cd "$(dirname "$0")/../.." || exit 1
program=${BUILD:-build}/tests/shim/test_flash_plan
if [ ! -x "$program" ]; then
    echo "skip flash_plans: this build has no CUDA toolkit"
    exit 0
fi
if out=$("$program" all 2>&1); then
    if grep -q '^skip: ' <<<"$out"; then
        echo "skip flash_plans: $(sed -n 's/^skip: //p' <<<"$out" | head -n 1)"
    else
        echo "ok flash_plans"
    fi
else
    printf '%s\n' "$out" >&2
    echo "not ok flash_plans: a plan is missing"
    exit 1
fi
