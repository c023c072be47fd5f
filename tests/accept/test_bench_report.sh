#!/bin/bash
# How long does a report of a screening programme's year take? EXAMS=100000 exams of four images with
# every column that a report can use, VAL=30000 for thresholds and recalibration, 2,000 bootstrap
# replicates, one thread and two: wall time, processor time, peak memory. What is checked: both write
# the same bytes, and all exams are evaluated. Times are not: they depend on the machine.
# WORK=DIR keeps the files.
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
exams=${EXAMS:-100000}
val=${VAL:-30000}
place=${WORK:-$work}
maker=$BUILD/tests/accept/report_sets

if [ ! -x /usr/bin/time ]; then
    skip bench_report "/usr/bin/time is not here to measure memory"
    exit 0
fi
if ! make -s -C "$top" BUILD="$BUILD" "$maker" >"$work/make" 2>&1; then
    tail -n 20 "$work/make"
    bad bench_report "does not build"
    exit 1
fi
mkdir -p "$place"
check bench_report_sets "the tables could not be written" "$maker" "$place" "$exams" "$val"

echo "| threads | wall, s | user + system, s | peak memory, MiB |"
echo "|---|---|---|---|"
for j in 1 2; do
    rm -rf "$place/report$j"
    if ! /usr/bin/time -f '%e %U %S %M' -o "$work/time" "$mammovit" report "$place/test.csv" \
        --val "$place/val.csv" --final -o "$place/report$j" --set eval.bootstrap=2000 -j "$j" -q \
        >"$work/out" 2>&1 </dev/null; then
        bad "bench_report_j$j" "$(tail -n 1 "$work/out")"
        exit 1
    fi
    awk -v j="$j" '{printf "| %d | %.1f | %.1f | %d |\n", j, $1, $2 + $3, $4 / 1024}' "$work/time"
done
same bench_report_bytes "$place/report1" "$place/report2"
check bench_report_exams "not all of $exams exams were evaluated" \
    grep -q "\"n_exams\": *$exams\b" "$place/report2/eval.json"
exit $((n_bad > 0))
