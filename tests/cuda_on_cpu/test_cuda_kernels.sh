#!/bin/bash
# Has every kernel run? Each one in the sources of model/cuda, with all template arguments that its
# callers can choose (those that the compiler made code for), must have been launched by a test that
# compares it with the CPU backend: a program test_cuda_*. Reads what the emulator wrote down for the
# programs that ran before (CUDA_ON_CPU_KERNELS), or runs them.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

ran=${CUDA_ON_CPU_KERNELS:-}
if ! grep -q '^test_cuda_op ' "$ran" 2>/dev/null || ! grep -q '^test_cuda_net ' "$ran"; then
    ran=$tmp/ran
    for t in "$build"/tests/shim/test_cuda_*; do
        case $t in *.d) continue ;; esac
        CUDA_ON_CPU_KERNELS=$ran DEVICE=cuda "$t" >"$tmp/log" 2>&1 || {
            echo "not ok cuda_kernels_programs: $t fails"
            exit 1
        }
    done
fi

# names in the sources; every mention of the word must be one
cat model/cuda/*.cu model/cuda/*.cuh | sed -zE 's/ __launch_bounds__\([A-Za-z0-9_, ]+\)\s+/ /g' |
    grep -o '__global__.*' >"$tmp/mentions"
sed -nE 's/^__global__ void ([a-z0-9_]+)\(.*/\1/p' "$tmp/mentions" | sort -u >"$tmp/names"
strange=$(grep -vE '^__global__ void [a-z0-9_]+\(' "$tmp/mentions")
if [ -s "$tmp/names" ] && [ -z "$strange" ]; then
    echo "ok cuda_kernels_named"
else
    echo "not ok cuda_kernels_named: '$strange' is no kernel as it is written here"
fi

# their code: symbols _Z<length><name>... of the objects
nm --defined-only "$build"/shim/model/cuda/*.o | awk '$2 ~ /^[TtWw]$/ && $3 !~ /\./ { print $3 }' |
    sort -u | awk -v names="$tmp/names" '
    BEGIN { while ((getline line <names) > 0) kernel[line] = 1 }
    match($0, /^_ZL?[0-9]+/) {
        digits = substr($0, RSTART, RLENGTH); sub(/^_ZL?/, "", digits)
        name = substr($0, RLENGTH + 1, digits + 0)
        if (name in kernel) print name, $0
    }' >"$tmp/code"
awk '{ print $1 }' "$tmp/code" | sort -u | comm -23 "$tmp/names" - >"$tmp/no_code"
if [ -s "$tmp/no_code" ]; then
    echo "not ok cuda_kernels_have_code: nothing calls $(tr '\n' ' ' <"$tmp/no_code")"
else
    echo "ok cuda_kernels_have_code: $(wc -l <"$tmp/names") kernels, $(wc -l <"$tmp/code") with their types"
fi

awk '$1 ~ /^test_cuda_/ && $3 > 0 { print $2 }' "$ran" | sort -u >"$tmp/launched"
awk '{ print $2 }' "$tmp/code" | sort -u | comm -23 - "$tmp/launched" >"$tmp/never"
if [ -s "$tmp/never" ]; then
    echo "not ok cuda_kernels_all_ran: never launched:"
    c++filt <"$tmp/never" | sed 's/(.*//; s/^/  /'
else
    echo "ok cuda_kernels_all_ran: $(awk '$1 ~ /^test_cuda_/ { n += $3 } END { print n }' "$ran") launches"
fi
