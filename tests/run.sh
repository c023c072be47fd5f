#!/bin/bash
# Runs test programs (cmocka) and test scripts one after the other and counts.
# A script prints `ok NAME`, `not ok NAME: WHY` or `skip NAME: REASON`, one line each.
# A program that crashes, hangs, or runs no test is one failed test, and its output is shown.
# Last line: `N passed, N failed, N skipped`. Exit 1 if anything failed or nothing ran.
# What a sanitizer reports fails the program that it ran in, also when the program went on, when its
# output was thrown away, and when it happened in an isolated worker (core/worker.c).
# Environment: TEST_TIMEOUT seconds per program; BUILD, DATA, SAN reach the tests.
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/.." || exit 1

limit=${TEST_TIMEOUT:-900} # the slowest take 90 s alone; a busy machine gives a tenth of that
[ -n "${SAN:-}" ] && limit=${TEST_TIMEOUT:-1800}
if [ -n "${DATA:-}" ] && [ -d "$DATA" ]; then
    DATA=$(cd "$DATA" && pwd)
fi
export BUILD=${BUILD:-build} DATA=${DATA:-} SAN=${SAN:-}

top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT
export TMPDIR="$top/tmp"
export CUDA_ON_CPU_KERNELS=$top/kernels # what the emulator launched (cuda_on_cpu/launched.cc)
reports=$top/reports
mkdir "$reports"
if [ -n "$SAN" ]; then
    export MAMMOVIT_TEST_REPORTS="$reports/worker"
    # a malloc that is too large fails as it does without the sanitizer; a signal kills
    common=log_path=$reports/program:allocator_may_return_null=1:handle_sigfpe=0
    export ASAN_OPTIONS="$common:strict_string_checks=1:${ASAN_OPTIONS:-}"
    export UBSAN_OPTIONS="$common:print_stacktrace=1:${UBSAN_OPTIONS:-}"
    export LSAN_OPTIONS="print_suppressions=0:suppressions='$PWD/tests/lsan.supp':${LSAN_OPTIONS:-}"
    export TSAN_OPTIONS="$common:suppressions='$PWD/tests/tsan.supp':${TSAN_OPTIONS:-}"
fi
passed=0 failed=0 skipped=0
: >"$top/times"
: >"$top/skips"

now_ms() { echo $((${EPOCHREALTIME/./} / 1000)); }

# Sum of the counts N of lines `[  WORD  ] N test(s)`.
count_cmocka() {
    sed -n -E "s/^\[ +$1 +\] ([0-9]+) test\(s\).*/\1/p" "$2" | awk '{s += $1} END {print s + 0}'
}

# Prints "passed failed skipped" for a finished program.
count_program() {
    local out=$1
    echo "$(count_cmocka PASSED "$out") $(count_cmocka FAILED "$out")" \
        "$(count_cmocka SKIPPED "$out")"
}

count_script() {
    local out=$1
    echo "$(grep -c '^ok ' "$out") $(grep -c '^not ok ' "$out") $(grep -c '^skip ' "$out")"
}

# The reason of a skipped cmocka test is the line `skip: REASON` printed just before it.
note_skips() {
    local name=$1 out=$2
    case $name in
    *.sh) sed -n "s|^skip |$name: |p" "$out" ;;
    *) awk -v name="$name" '
        /^skip: / { why = substr($0, 7) }
        /^\[ +SKIPPED +\] [^0-9]/ && !seen[$NF]++ {
            print name ": " $NF ": " (why != "" ? why : "no reason given"); why = "" }' "$out" ;;
    esac >>"$top/skips"
}

run_one() {
    local path=$1 name out="$top/out" rc start ms counts p f s why="" max=$limit device
    name=${path#"$BUILD"/}
    name=${name#tests/}
    case $name in accept/*) max=${TEST_TIMEOUT:-14400} ;; esac
    rm -rf "$TMPDIR" && mkdir -p "$TMPDIR"
    rm -f "$reports"/*
    start=$(now_ms)
    case $name in shim*/*) device=cuda ;; *) device=${DEVICE:-} ;; esac
    DEVICE=$device timeout -k 10 "$max" "$path" </dev/null >"$out" 2>&1
    rc=$?
    ms=$(($(now_ms) - start))
    tr -d '\000' <"$out" >"$out.txt"
    case $name in
    *.sh) counts=$(count_script "$out.txt") ;;
    *) counts=$(count_program "$out.txt") ;;
    esac
    read -r p f s <<<"$counts"
    if [ "$rc" -eq 124 ] || [ "$rc" -eq 137 ]; then
        why="stopped after $max s"
    elif [ "$rc" -gt 128 ]; then
        why="died by signal $((rc - 128))"
    elif [ "$rc" -ne 0 ] && [ "$f" -eq 0 ]; then
        why="exit status $rc"
    elif [ $((p + f + s)) -eq 0 ]; then
        why="ran no test"
    fi
    # notes (a malloc that failed as it was meant to, suppressions used) are no complaint
    if grep -rqE 'ERROR: |runtime error: |WARNING: ThreadSanitizer|SUMMARY: ' "$reports"; then
        why="${why:+$why, }a sanitizer complains"
        cat "$reports"/* | tr -d '\000' | head -n 60 >>"$out.txt"
    fi
    [ -n "$why" ] && f=$((f + 1))
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%d.%03d %s\n' $((ms / 1000)) $((ms % 1000)) "$name" >>"$top/times"
    note_skips "$name" "$out.txt"
    if [ "$f" -gt 0 ]; then
        printf 'FAIL  %s: %d failed%s\n' "$name" "$f" "${why:+ ($why)}"
        grep -v -E '^\[ +(RUN|OK) +\]' "$out.txt" | tail -n 60 | sed 's/^/      /'
    else
        printf 'pass  %-40s %4d ok%s\n' "$name" "$p" "$([ "$s" -gt 0 ] && echo ", $s skipped")"
    fi
}

for path in "$@"; do
    run_one "$path"
done

if [ -s "$top/skips" ]; then
    echo "skipped:"
    sed 's/^/  /' "$top/skips"
fi
if [ -s "$top/times" ]; then
    echo "slowest:"
    sort -rn "$top/times" | head -n 5 | awk '{printf "  %8.2f s  %s\n", $1, $2}'
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
