#!/usr/bin/env bash
# make demo: a synthetic archive, the whole corridor on the CPU, and the report. With DATA=DIR the
# DICOM mammograms of DIR/mg_dicom are ingested, too, and their crops are shown.
set -euo pipefail
BUILD=${BUILD:-build}
DATA=${DATA:-}
PATIENTS=${PATIENTS:-500}
SEED=${SEED:-1}
DIR=${DEMO_DIR:-$BUILD/demo}
M=$BUILD/mammovit
t0=$SECONDS

if [ ! -e "$DIR/archive.done" ]; then
    rm -rf "$DIR"
    mkdir -p "$DIR"
    echo "== a synthetic screening archive of $PATIENTS women"
    "$M" demo-archive "$DIR/data" --patients "$PATIENTS" --seed "$SEED"
    # a known key of the pseudonyms makes the division of these make-believe women repeatable
    mkdir -p "$DIR/out/store"
    (umask 077 && printf '%032d' "$SEED" > "$DIR/out/store/key")
    touch "$DIR/archive.done"
fi
echo "== scan, prepare, split, train, predict, report"
"$M" run -c configs/demo.yaml --set "run.archive=$DIR/data/archive" \
    --set "run.labels=$DIR/data/clinical.csv" --set "run.dir=$DIR/out" --seed "$SEED" |
    tee "$DIR/run.log"

if [ -n "$DATA" ]; then
    echo "== real mammograms from DATA; those without any tag get side and view from VIEWS.tsv"
    rm -rf "$DIR/real"
    mkdir -p "$DIR/real"
    awk -F'\t' 'BEGIN { print "file,patient_id,study_uid,exam_date,modality,laterality,view" }
        $1 ~ /odm_/ && $2 ~ /^screening/ {
            n++; sub(/.*\//, "", $1)
            printf "%s,tagless-%d,2.25.%d,2020-01-01,MG,%s,%s\n", $1, n, n, $4, $5
        }' "$DATA/VIEWS.tsv" > "$DIR/real/sidecar.csv"
    "$M" scan "$DATA/mg_dicom" -o "$DIR/real/store" --set "scan.sidecar=$DIR/real/sidecar.csv"
    # letterbox: pictures to look at, and the tagless files do not say how large a pixel is
    "$M" prepare "$DIR/real/store" -c configs/demo.yaml --set prepare.fit=letterbox
    "$M" show "$DIR/real/store" -c configs/demo.yaml --set prepare.fit=letterbox --pages "$DIR/out/pred-test"
    "$M" report "$DIR/out/pred-test" -o "$DIR/out/report" -c configs/demo.yaml --final --force \
        --val "$DIR/out/pred-val" > "$DIR/report.log"
fi
echo "== done in $((SECONDS - t0)) s"
grep -h '^exam-level AUC' "$DIR/run.log"
echo "report: $DIR/out/report/report.html"
