#!/bin/bash
# What nvcc made of the kernels, looked at for what a card refuses and an emulator cannot see. For each
# architecture and kernel, with all its template arguments: the block that callers launch fits into the
# registers, shared memory into what a block may have, nothing lies in local memory; kernels that memory
# bounds move 16 bytes at once (this wants cuobjdump, which CUOBJDUMP may name). Reads what ptxas wrote
# down when the objects were built, and blocks and shared memory from what the emulator wrote down for the
# tests that ran before (CUDA_ON_CPU_KERNELS). Skipped, with the reason, without nvcc 13.
# shellcheck source=tests/golden/lib.sh
. "$(dirname "$0")/lib.sh"

nvcc=$(command -v nvcc || true)
code=$BUILD/obj/model/cuda
if [ -z "$nvcc" ] || [ -n "${SAN:-}" ] || ! ls "$code"/*.ptxas >/dev/null 2>&1; then
    skip cuda_code "no kernel was compiled by nvcc 13 in this build"
    exit 0
fi

# Kernels that memory bounds; of one that only reads wide, `loads`; where types of two sizes meet, `any`:
# the wider one moves by 16 bytes. Instances that take one value at a
# time (N = 1) serve odd widths and starts.
hot() {
    cat <<'END'
adamw_kernel both
add_back_kernel any
add_kernel any
column_sum_kernel loads
fold_kernel both
gelu_back_kernel both
gelu_kernel both
map_back_kernel both
map_kernel both
norm_back_kernel any
norm_kernel any
position_kernel any
sgd_kernel both
END
}

# May keep bytes in local memory: part of a symbol, bytes of a thread at most (stack and spilled), why.
spills() {
    cat <<'END'
16attention_kernel 32 a thread's channels, as many as the head has
20attention_key_kernel 64 the same, of keys and of values
22attention_query_kernel 32 the same
16norm_back_kernelILi1E 512 rows of odd width, which no network has
END
}

# What ptxas said, a line for each: architecture, symbol, registers, bytes of stack, spilled, shared
table_of() {
    awk '
        /Compiling entry function/ { split($0, w, "\047"); name = w[2]; arch = w[4]; stack = spill = 0 }
        /Function properties for/ { own = $NF == name }
        own && /bytes stack frame/ { stack = $1; spill = $5 + $9 }
        / Used [0-9]+ registers/ {
            match($0, /Used [0-9]+/); registers = substr($0, RSTART + 5, RLENGTH - 5)
            shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH) + 0 : 0
            print arch, name, registers, stack, spill, shared
        }' "$@"
}

# name_of SYMBOL, in awk: the kernel of _Z<length><name>...
name_of='function name_of(symbol, digits) {
    match(symbol, /^_Z[0-9]+/); digits = substr(symbol, 3, RLENGTH - 2)
    return substr(symbol, RLENGTH + 1, digits + 0)
}'

# judge TABLE LEDGER: a line for each kernel that a card may refuse or that is slow without need.
# Ledger: program, symbol, launches, threads and dynamic shared memory at most, what was allowed of that.
judge() {
    awk -v ledger="$2" -v spills="$(spills)" '
        BEGIN {
            while ((getline line <ledger) > 0) {
                split(line, w)
                if (w[4] > threads[w[2]]) threads[w[2]] = w[4]
                if (w[5] > dynamic[w[2]]) dynamic[w[2]] = w[5]
                if (w[6] > allowed[w[2]]) allowed[w[2]] = w[6]
                known++
            }
            n = split(spills, lines, "\n")
            for (i = 1; i <= n; i++) { split(lines[i], w); local_room[w[1]] = w[2] }
        }
        function room(symbol, part) {
            for (part in local_room) if (part && index(symbol, part)) return local_room[part]
            return 0
        }
        {
            what = $1 " " $2 ": "
            lanes = $2 in threads ? int((threads[$2] + 31) / 32) * 32 : 256
            held = int(($3 + 7) / 8) * 8 * lanes
            if (held > 65536) print "registers: " what $3 " for each of " lanes " threads, " held " of 65536"
            if ($3 > 255) print "registers: " what $3
            if ($6 + dynamic[$2] > 49152 && ($6 > 49152 || !allowed[$2]))
                print "shared: " what $6 " + " dynamic[$2] " bytes, and 49152 are allowed"
            else if ($6 + allowed[$2] > 101376)
                print "shared: " what $6 " + " allowed[$2] " bytes, and a block has 101376 at least"
            if ($4 + $5 > room($2)) print "local: " what $4 " bytes of stack, " $5 " spilled"
            if (known && !($2 in threads)) print "unknown: " what "no test launched it: of how many threads?"
        }' "$1"
}

# wide TABLE SASS: hot kernels whose code for an architecture lacks a 16-byte access. SASS: what
# cuobjdump says, architecture by architecture.
wide() {
    awk -v hot="$(hot)" "$name_of"'
        BEGIN { n = split(hot, lines, "\n"); for (i = 1; i <= n; i++) { split(lines[i], w); want[w[1]] = w[2] } }
        FNR == NR { if (name_of($2) in want && $2 !~ /Li1E/) there[$1 " " $2] = 1; next }
        /code for sm_/ { arch = $NF }
        /Function : / { symbol = $NF }
        /LDG\.E\.[A-Z.]*128/ { loads[arch " " symbol] = 1 }
        /STG\.E\.[A-Z.]*128/ { stores[arch " " symbol] = 1 }
        END {
            for (k in there) {
                split(k, w); seen[name_of(w[2])] = 1
                how = want[name_of(w[2])]
                if (!(k in loads) && !(how == "any" && k in stores)) print "wide: " k " loads no 16 bytes at once"
                if (how == "both" && !(k in stores)) print "wide: " k " stores no 16 bytes at once"
            }
            for (name in want) if (name && !(name in seen)) print "wide: there is no " name " for several values"
        }' "$1" "$2"
}

# ---- the rules can fail ---------------------------------------------------------------------------
cat >"$work/faulty" <<'END'
sm_90 _Z4wideIfLi1EEvv 255 0 0 0
sm_90 _Z3bigv 72 0 0 0
sm_90 _Z6sharedv 32 0 0 40000
sm_90 _Z6statesv 32 0 0 50000
sm_90 _Z4mostv 32 0 0 1024
sm_90 _Z5spillv 32 0 8 0
sm_90 _Z5stackv 32 16 0 0
sm_90 _Z5quietv 32 0 0 0
END
cat >"$work/faulty_ledger" <<'END'
test _Z4wideIfLi1EEvv 1 256 0 0
test _Z3bigv 1 1024 0 0
test _Z6sharedv 1 256 10000 0
test _Z6statesv 1 256 0 0
test _Z4mostv 1 256 50000 200000
test _Z5spillv 1 256 0 0
test _Z5stackv 1 256 0 0
END
wanted="local: sm_90 _Z5spillv
local: sm_90 _Z5stackv
registers: sm_90 _Z3bigv
shared: sm_90 _Z4mostv
shared: sm_90 _Z6sharedv
shared: sm_90 _Z6statesv
unknown: sm_90 _Z5quietv"
found=$(judge "$work/faulty" "$work/faulty_ledger" | cut -d: -f1-2 | sort)
if [ "$found" = "$wanted" ]; then ok cuda_code_rules; else bad cuda_code_rules "found: $found"; fi

# ---- the kernels ----------------------------------------------------------------------------------
for o in "$code"/*.o; do
    [ ! -e "model/cuda/$(basename "$o" .o).cu" ] || [ -s "${o%.o}.ptxas" ] || echo "$o"
done >"$work/silent"
table_of "$code"/*.ptxas | sort -u >"$work/table"
archs=$(cut -d' ' -f1 "$work/table" | sort -u | tr '\n' ' ')
each=$(awk '{ n[$2]++ } END { for (k in n) c[n[k]]++; for (k in c) print k }' "$work/table" | tr '\n' ' ')
if [ -s "$work/silent" ] || [ "$(wc -w <<<"$archs")" != "${each% }" ]; then
    bad cuda_code_complete "$(tr '\n' ' ' <"$work/silent") kernels for ${archs:-no architecture} in $each of them"
else
    ok cuda_code_complete
fi
ledger=${CUDA_ON_CPU_KERNELS:-/dev/null}
kinds="registers shared local unknown"
if ! grep -q '^test_cuda_op ' "$ledger" 2>/dev/null || ! grep -q '^test_cuda_net ' "$ledger"; then
    skip cuda_code_blocks "tests of the kernels did not run before: blocks are taken for 256 threads"
    ledger=/dev/null
    kinds=${kinds% unknown}
fi
judge "$work/table" "$ledger" >"$work/faults"
for kind in $kinds; do
    if grep "^$kind: " "$work/faults" >"$work/of_kind"; then
        bad "cuda_code_$kind" "$(wc -l <"$work/of_kind") kernels"
        head -n 20 "$work/of_kind" | c++filt | sed 's/^/    /'
    else
        ok "cuda_code_$kind"
    fi
done

dump=${CUOBJDUMP:-$(command -v cuobjdump || echo "$(dirname "$nvcc")/cuobjdump")}
if [ ! -x "$dump" ]; then
    skip cuda_code_wide "this toolkit has no cuobjdump"
else
    hot | cut -d' ' -f1 >"$work/hot"
    grep -lFf "$work/hot" "$code"/*.ptxas | while read -r o; do "$dump" -sass "${o%.ptxas}.o"; done |
        grep -E 'code for sm_|Function : |(LDG|STG)\.' >"$work/sass"
    wide "$work/table" "$work/sass" | sort | c++filt >"$work/faults"
    if [ -s "$work/faults" ] || [ ! -s "$work/sass" ]; then
        bad cuda_code_wide "$(wc -l <"$work/faults") faults"
        head -n 20 "$work/faults" | sed 's/^/    /'
    else
        ok cuda_code_wide
    fi
    # the same code without them
    if sed -E 's/\.128/.64/' "$work/sass" | wide "$work/table" - | grep -q 'gelu_kernel.* stores no'; then
        ok cuda_code_wide_can_fail
    else
        bad cuda_code_wide_can_fail "narrow accesses pass"
    fi
fi
[ "$n_bad" -eq 0 ]
