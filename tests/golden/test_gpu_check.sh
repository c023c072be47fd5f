#!/bin/bash
# gpu-check before there is a card: its list, what it refuses, the bundle's size where one was built, and
# that README, log and results say the same about what a card has proved.
# shellcheck source=tests/golden/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1
script=tests/gpu/gpu-check.sh

# gives NAME STATUS TEXT WORDS...: the script ends so and prints this
gives() {
    local name=$1 status=$2 text=$3 got
    shift 3
    "$script" "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    if [ "$got" -ne "$status" ]; then bad "$name" "exit status $got, wanted $status"; elif
        ! grep -qF -- "$text" "$work/out"
    then bad "$name" "the output lacks '$text'"; else ok "$name"; fi
}
gives gpu_list 0 "seconds at most; 540 seconds in all" --list
order=$(awk '/ s  / { print $1 }' "$work/out" | xargs)
want="start ops nets pytorch curves train same memcheck racecheck nccl ceilings steps memory torch"
if [ "$order" = "$want" ]; then ok gpu_list_order; else bad gpu_list_order "$order"; fi
first=$(awk '/ s  / { n++; if (/correctness/ && n > c + 1) print $1; if (/correctness/) c = n }' "$work/out")
if [ -z "$first" ]; then ok gpu_correctness_first; else bad gpu_correctness_first "$first comes after figures"; fi
gives gpu_unknown_option 2 "unknown option '--fast'" --fast
gives gpu_unknown_part 2 "no part 'nothing'" --only nothing
gives gpu_no_bundle 3 "the bundle is damaged: MANIFEST is missing" --shim --out "$work/results"

bundle=$BUILD/gpu-bundle
if [ -s "$bundle/MANIFEST" ]; then
    size=$(find "$bundle" -type f -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }')
    if [ "$size" -le $((45 << 20)) ]; then ok gpu_bundle_size; else bad gpu_bundle_size "$size bytes"; fi
else
    skip gpu_bundle_size "make gpu-bundle was not run (make accept does)"
fi

# one results table of a card, or README and log that say there is none
tables=$(grep -l '"emulated": false' docs/gpu-results/*.json 2>/dev/null | wc -l)
said=$(grep -c 'CUDA backend: unproven on a card' README.md)
warned=$(grep -c 'log_warn("cuda_unproven"' model/cuda/cuda.cu)
if [ "$tables" -gt 0 ] && [ "$said$warned" = 00 ]; then ok gpu_unproven_or_not; elif
    [ "$tables" -eq 0 ] && [ "$said" -gt 0 ] && [ "$warned" -gt 0 ]
then ok gpu_unproven_or_not; else
    bad gpu_unproven_or_not "$tables results of a card, README says unproven $said times, the log $warned times"
fi

python=$(command -v python3 || true)
if [ -n "$python" ]; then
    check gpu_torch_script "python does not accept tests/gpu/torch_bench.py" "$python" -c \
        'import ast, sys; ast.parse(open("tests/gpu/torch_bench.py").read())'
    check gpu_schema "docs/gpu-results.schema.json is no JSON" "$python" -c \
        'import json; json.load(open("docs/gpu-results.schema.json"))'
else
    skip gpu_torch_script "no python3"
fi
[ "$n_bad" -eq 0 ]
