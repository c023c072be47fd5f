#!/bin/bash
# Do the tests of the CUDA backend have teeth? Each row of planted_faults.tsv puts one fault into a
# copy of one file of model/cuda, kernels or what stands around them; what reads it is compiled again and linked to a test, which has to
# fail by its own words or by the emulator's. Then each barrier of the kernels is taken away, and
# weakened to one of a warp: tests or ThreadSanitizer have to see that, too (barriers.tsv names the
# tests, and a barrier without a row is a failed test).
# FAULTS=all: everything, with a table of what noticed what (make accept). Otherwise a sample, spread
# over both tables. Words on the command line: only rows that contain one of them.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1
export BUILD=${BUILD:-build}
build=$BUILD
here=tests/cuda_on_cpu
lanes=${LANES:-2}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
unset CUDA_ON_CPU_KERNELS SAN

# how the Makefile compiles and links, one command a line; @ stands for an include folder put first
env -u MAKEFLAGS make -s BUILD="$build" ${CUDA:+CUDA="$CUDA"} shim-commands >"$tmp/commands" || exit 1
{ read -r compile_kernel && read -r compile_test && read -r link_front && read -r link_behind; } <"$tmp/commands"

good() { echo "ok fault_$1: $2" >>"$3"; }
bad() { echo "not ok fault_$1: $2" >>"$3"; }

# Files that are compiled again when this one changes.
readers_of() {
    case $1 in
    *.cu | *.c) echo "$1" ;;
    *) grep -l "[ /]$1\b" "$build"/shim/model/cuda/*.d | sed 's|.*/|model/cuda/|; s|\.d$|.cu|' ;;
    esac
}

# compile LANE FILE FLAGS: what reads the file of $LANE/model/cuda in place of FILE.
compile() {
    local lane=$1 readers unit from how objects=()
    readers=$(readers_of "$2")
    rm -f "$lane"/*.o
    for unit in "$build"/shim/model/cuda/*.o "$build"/shim/*.o; do
        from=model/cuda/$(basename "$unit" .o)
        case $unit in */cuda/*) from=$from.cu how=${compile_kernel//@/$lane} ;; *) from=$from.c how="$compile_test -w" ;; esac
        if grep -qx "$from" <<<"$readers"; then
            unit=$lane/$(basename "$unit")
            [ -e "$lane/$from" ] && from=$lane/$from
            bash -c "$how $3 -o $unit $from" >"$lane/log" 2>&1 || return 1
        fi
        objects+=("$unit")
    done
    echo "${objects[*]}" >"$lane/objects"
}

# link LANE TEST FLAGS: the program that TEST is a case of.
link() {
    local program=test_cuda_${2%%:*}
    bash -c "$link_front $3 -o $1/$program $tmp/$program.o $(cat "$1/objects") $link_behind" >"$1/log" 2>&1
}

# verdict LANE TEST: prints who noticed, nothing where nobody did. A test is PROGRAM:NAME, the case
# NAME of test_cuda_PROGRAM (+ for a blank)
verdict() {
    local lane=$1 test=$2 rc
    timeout -k 5 240 "$lane/test_cuda_${test%%:*}" "${test#*:}" >"$lane/out" 2>&1
    rc=$?
    tr -d '\000' <"$lane/out" >"$lane/out.txt"
    if grep -q 'WARNING: ThreadSanitizer' "$lane/out.txt"; then
        echo "race: $(grep -m 1 -oE '(model/cuda/)?[a-z_]+\.cuh?:[0-9]+' "$lane/out.txt")"
    elif grep -qE '^bug .*(cuda|NCCL): ' "$lane/out.txt"; then
        echo "emulator: $(grep -m 1 -oE '(cuda|NCCL): .*' "$lane/out.txt" | cut -c 7-110)"
    elif grep -q '^\[  FAILED  \]' "$lane/out.txt" && ! grep -q 'failed with exception' "$lane/out.txt"; then
        echo "test: $(grep -m 1 '^ERROR: \|LINE' "$lane/out.txt" | sed 's/^ERROR: //' | cut -c 1-110)"
    elif [ $rc -ne 0 ]; then
        echo "? status $rc: $(tail -n 1 "$lane/out.txt")"
    fi
}

# plant LANE NAME TEST FILE EDIT
plant() {
    local lane=$1 name=$2 test=$3 file=$4 edit=$5 seen one
    mkdir -p "$lane/model/cuda"
    rm -f "$lane"/model/cuda/*
    sed -E "$edit" "model/cuda/$file" >"$lane/model/cuda/$file"
    if cmp -s "$lane/model/cuda/$file" "model/cuda/$file"; then
        bad "$name" "the edit does not apply to $file any more" "$lane/result"
        return
    fi
    if ! compile "$lane" "model/cuda/$file" ""; then
        bad "$name" "does not compile: $(grep -m 1 error "$lane/log")" "$lane/result"
        return
    fi
    for one in ${test//,/ }; do
        link "$lane" "$one" "" || { bad "$name" "does not link" "$lane/result" && return; }
        seen=$(verdict "$lane" "${one//+/ }")
        case $seen in
        '') ;;
        '?'*) bad "$name" "$one ends by accident: $seen" "$lane/result" && return ;;
        *) good "$name" "$one: $seen" "$lane/result" && return ;;
        esac
    done
    bad "$name" "$test does not notice it" "$lane/result"
}

# barrier LANE FILE COUNT HOW TESTS: the COUNT-th barrier of the file, `none` or `warp`.
barrier() {
    local lane=$1 file=$2 count=$3 how=$4 tests=$5 name seen one flags
    name=barrier_${file//./_}_${count}_$how
    mkdir -p "$lane/model/cuda"
    rm -f "$lane"/model/cuda/*
    awk -v want="$count" -v to="$([ "$how" = none ] && echo ';' || echo '__syncwarp();')" '
        /__syncthreads\(\);/ && ++n == want { sub(/__syncthreads\(\);/, to) } { print }' \
        "model/cuda/$file" >"$lane/model/cuda/$file"
    for flags in "" "-fsanitize=thread"; do
        if ! compile "$lane" "model/cuda/$file" "$flags"; then
            bad "$name" "does not compile: $(grep -m 1 error "$lane/log")" "$lane/result"
            return
        fi
        for one in ${tests//,/ }; do
            link "$lane" "$one" "$flags" || { bad "$name" "does not link" "$lane/result" && return; }
            seen=$(SAN=${flags:+thread} TSAN_OPTIONS=halt_on_error=1 verdict "$lane" "${one//+/ }")
            [ -n "$seen" ] && good "$name" "$one: $seen" "$lane/result" && return
        done
    done
    bad "$name" "$tests do not notice it, nor does ThreadSanitizer" "$lane/result"
}

# ---- what there is to do ------------------------------------------------------------------------
wanted() {
    [ $# -eq 1 ] && return 0
    local row=$1 word
    shift
    for word; do [[ $row == *"$word"* ]] && return 0; done
    return 1
}

while IFS=$'\t' read -r name test file edit; do
    case $name in '' | '#'*) continue ;; esac
    wanted "$name $test $file" "$@" && printf 'plant\t%s\t%s\t%s\t%s\n' "$name" "$test" "$file" "$edit"
done <$here/planted_faults.tsv >"$tmp/rows"
for path in model/cuda/*.cu model/cuda/*.cuh; do
    file=$(basename "$path")
    for ((k = 1; k <= $(grep -c '__syncthreads();' "$path"); k++)); do
        tests=$(awk -F '\t' -v f="$file" -v k=$k '$1 == f && $2 == k { print $3 }' $here/barriers.tsv)
        if [ -z "$tests" ]; then
            echo "not ok barrier_known: no row of barriers.tsv for barrier $k of $file"
            exit 1
        fi
        for how in none warp; do
            wanted "barrier $file $tests" "$@" &&
                printf 'barrier\t%s\t%s\t%s\t%s\n' "$file" $k $how "$tests"
        done
    done
done >>"$tmp/rows"
case $(tail -n 1 "$tmp/rows") in 'not ok'*) tail -n 1 "$tmp/rows" && exit 1 ;; esac
if [ ! -s "$tmp/rows" ]; then
    echo "not ok fault_rows: no row was chosen"
    exit 1
fi
if [ "${FAULTS:-}" != all ] && [ $# -eq 0 ]; then
    # the cheap ones: no header, which many files read
    grep -v -P '\.cuh\t' "$tmp/rows" | awk -v n="${FAULTS:-10}" '{ row[NR] = $0 } END {
        for (i = 1; i <= n; i++) print row[int((i - 0.5) * NR / n) + 1] }' >"$tmp/sample"
    mv "$tmp/sample" "$tmp/rows"
fi

# ---- tests without a fault, then lanes side by side -----------------------------------------------
tests_of() { awk -F '\t' '{ print $1 == "plant" ? $3 : $5 }' "$tmp/rows" | tr ',' '\n' | sort -u; }
for program in $(tests_of | cut -d: -f1 | sort -u); do
    bash -c "$compile_test -o $tmp/test_cuda_$program.o $here/test_cuda_$program.c" || exit 1
done
echo "$build"/shim/model/cuda/*.o "$build"/shim/*.o >"$tmp/objects"
for one in $(tests_of); do
    link "$tmp" "$one" "" || exit 1
    if [ -n "$(verdict "$tmp" "${one//+/ }")" ] || ! grep -q '^\[  PASSED  \] 1 ' "$tmp/out.txt"; then
        tail -n 20 "$tmp/out.txt"
        echo "not ok fault_none_$one: fails without a fault"
        exit 1
    fi
done
for ((k = 0; k < lanes; k++)); do
    mkdir -p "$tmp/$k"
    awk -v k=$k -v n="$lanes" 'NR % n == k' "$tmp/rows" >"$tmp/$k.rows"
    while IFS=$'\t' read -r what a b c d; do
        $what "$tmp/$k" "$a" "$b" "$c" "$d"
        [ -n "${VERBOSE:-}" ] && tail -n 1 "$tmp/$k/result" >&2
    done <"$tmp/$k.rows" &
done
wait
cat "$tmp"/*/result
[ "$(grep -c . "$tmp/rows")" -eq "$(cat "$tmp"/*/result | wc -l)" ] || echo "not ok fault_rows: some rows gave no result"
if [ "${FAULTS:-}" = all ]; then
    awk '/^ok/ { split($4, w, ":"); n[$4]++ } /^not ok/ { n["nobody:"]++ }
        END { printf "noticed by:"; for (k in n) printf " %s %d", k, n[k]; print "" }' "$tmp"/*/result
fi
