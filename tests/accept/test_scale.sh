#!/bin/bash
# Every stage before and after the network over a store of two million images: half a million exams
# of a quarter million women, tiny canvases. A stage that kept something of every image, or that did
# something twice as often as there are images, would show here: each must end within LIMIT seconds
# and stay below RSS_MIB of memory. Prints a table. ROWS=2000000 LIMIT=900 RSS_MIB=1024 WORK=DIR
# (kept). Needs about 8 GiB of disk under TMPDIR and two million directory entries.
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
rows=${ROWS:-2000000}
limit=${LIMIT:-900}
rss_mib=${RSS_MIB:-1024}
place=${WORK:-$work}
maker=$BUILD/tests/accept/scale_store

if [ ! -x /usr/bin/time ]; then
    skip scale "/usr/bin/time is not here to measure memory"
    exit 0
fi
mkdir -p "$place"
free_kib=$(df -Pk "$place" | awk 'NR == 2 {print $4}')
if [ "$free_kib" -lt $((rows * 4)) ]; then
    skip scale "$((free_kib / 1024)) MiB are free, $((rows * 4 / 1024)) MiB are needed"
    exit 0
fi
if ! make -s -C "$top" BUILD="$BUILD" "$maker" >"$work/make" 2>&1; then
    tail -n 20 "$work/make"
    bad scale "does not build"
    exit 1
fi

table=$work/table
echo "| stage | wall, s | user + system, s | peak memory, MiB |" >"$table"
echo "|---|---|---|---|" >>"$table"

# timed NAME COMMAND...: runs it, adds a line to the table; sets $mib
timed() {
    local name=$1 got wall user sys kib
    shift
    timeout -k 10 "$limit" /usr/bin/time -f '%e %U %S %M' -o "$work/time" "$@" >"$work/out" 2>"$work/err" </dev/null
    got=$?
    read -r wall user sys kib < <(tail -n 1 "$work/time")
    mib=$((${kib:-0} / 1024))
    echo "| $name | $wall | $(awk -v a="$user" -v b="$sys" 'BEGIN {print a + b}') | $mib |" >>"$table"
    [ $got -eq 0 ] && return 0
    bad "${name// /_}" "exit status $got"
    tail -n 5 "$work/err" | sed 's/^/    /'
    return 1
}

# stage NAME WORDS...: the program; its end and its memory are checked
stage() {
    local name=$1 mib
    shift
    timed "$name" "$mammovit" "$@" -q || return 1
    if [ "$mib" -lt "$rss_mib" ]; then ok "${name// /_}"; else
        bad "${name// /_}" "$mib MiB of memory, wanted less than $rss_mib"
    fi
}

# says NAME TEXT: the last stage printed it
says() {
    if grep -qF -- "$2" "$work/out"; then ok "$1"; else bad "$1" "wanted '$2', got: $(head -c 300 "$work/out")"; fi
}

store=$place/store archive=$place/archive tables=$place/tables
rm -rf "$store" "$archive" "$tables" "$place/report" "$place/cohort.h5" "$place"/split*.csv
mkdir -p "$archive/d0000" "$tables"
echo "the rows of these files are made up" >"$archive/d0000/f0000000"
must scan "$archive" -o "$store" -q
mib=0
limit=3600 timed "make the store" "$maker" "$store" "$archive" "$archive/d0000/f0000000" "$rows" "$tables" || exit 1
cat "$work/out"
config=$place/scale.yaml
cat >"$config" <<'YAML'
prepare:
  sizes: 16x16
  shard_mib: 16
YAML

stage "scan again" scan "$archive" -o "$store"
says scan_reads_nothing "($((rows + 1)) known from before)"
stage "prepare again" prepare "$store" -c "$config"
stage "verify" verify "$store" -c "$config"
stage "export" show "$store" -c "$config" --export "$place/export.csv"
lines=$(wc -l <"$place/export.csv")
if [ "$lines" -eq $((rows + 2)) ]; then ok export_rows; else bad export_rows "$lines lines for $((rows + 1)) rows"; fi
stage "split" split "$store" --labels "$tables/clinical.csv" -c "$config" -o "$place/cohort.h5"
stage "report" report "$tables/predictions.csv" -o "$place/report" --set eval.bootstrap=2000
stage "deid-check" deid-check "$store" "$place/cohort.h5"

cat "$table"
echo "rows: $rows, exams: $((rows / 4)), women: $((rows / 8))"
exit $((n_bad > 0))
