#!/usr/bin/env bash
# make demo: a synthetic archive, the whole corridor on the CPU, and the report. With DATA=DIR the
# DICOM mammograms of DIR/mg_dicom are ingested, too, and their crops are shown.
set -euo pipefail
BUILD=${BUILD:-build}
DATA=${DATA:-}
PATIENTS=${PATIENTS:-300}
SEED=${SEED:-1}
DIR=${DEMO_DIR:-$BUILD/demo}
M=$BUILD/mammovit
t0=$SECONDS

if [ ! -e "$DIR/archive.done" ]; then
    rm -rf "$DIR"
    mkdir -p "$DIR"
    echo "== a synthetic screening archive of $PATIENTS women"
    "$M" demo-archive "$DIR/data" --patients "$PATIENTS" --seed "$SEED"
    touch "$DIR/archive.done"
fi
echo "== scan, prepare, split, train, predict, report"
"$M" run -c configs/demo.yaml --set "run.archive=$DIR/data/archive" \
    --set "run.labels=$DIR/data/clinical.csv" --set "run.dir=$DIR/out" --seed "$SEED" |
    tee "$DIR/run.log"

if [ -n "$DATA" ]; then
    echo "== real mammograms from DATA"
    mkdir -p "$DIR/real"
    "$M" scan "$DATA/mg_dicom" -o "$DIR/real/store" -q
    "$M" prepare "$DIR/real/store" -c configs/demo.yaml -q
    "$M" show "$DIR/real/store" -c configs/demo.yaml --gallery "$DIR/real/pages"
    "$M" report "$DIR/out/pred-test" -o "$DIR/out/report" -c configs/demo.yaml --final --force \
        --val "$DIR/out/pred-val" --gallery "$DIR/real/pages" > "$DIR/report.log"
fi
echo "== done in $((SECONDS - t0)) s"
grep -h '^exam-level AUC' "$DIR/run.log"
echo "report: $DIR/out/report/report.html"
