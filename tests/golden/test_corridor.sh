#!/bin/bash
# The whole corridor on a small synthetic archive, verb by verb: identical bytes for -j1 and -j4,
# after kill -9 at chosen points, and for an exam scored straight from its DICOM files; the books
# balance; bad inputs and damaged stores are named.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
yaml=$top/tests/golden/corridor.yaml
demo=$work/demo

# loud LOG WORDS...: a step whose whole talk is kept
loud() {
    local log=$1
    shift
    if ! "$mammovit" "$@" -v >>"$log" 2>&1 </dev/null; then
        bad "$1" "failed: mammovit $*"
        tail -n 20 "$log" | sed 's/^/    /'
        exit 1
    fi
}

# corridor DIR THREADS: everything from scan to report below DIR
corridor() {
    local d=$1 j=$2 p
    loud "$d.log" scan "$demo/archive" -o "$d/store" -j "$j"
    loud "$d.log" prepare "$d/store" -c "$yaml" -j "$j"
    loud "$d.log" show "$d/store" -c "$yaml" --export "$d/catalog.csv"
    loud "$d.log" split "$d/store" --labels "$demo/clinical.csv" -c "$yaml" -o "$d/cohort.h5" -j "$j"
    loud "$d.log" train -c "$yaml" --set "run.cohort=$d/cohort.h5" -o "$d/run" -j "$j"
    for p in test val all; do
        loud "$d.log" predict "$d/run" --cohort "$d/cohort.h5" --split $p -o "$d/pred-$p" -j "$j"
    done
    loud "$d.log" report "$d/pred-test" -o "$d/report" --val "$d/pred-val" --final -c "$yaml" -j "$j"
}

must demo-archive "$demo" --patients 30 --seed 5 -q
mkdir -p "$work/a" "$work/b/store"
corridor "$work/a" 1
cp "$work/a/store/key" "$work/b/store/key"
corridor "$work/b" 4

for what in catalog.csv store/prep store/flow.json store/exclusions.csv cohort.h5 split.csv \
    split_exclusions.csv split_unmatched.csv split_merges.csv split_summary.csv run pred-test pred-val pred-all report; do
    same "threads_$what" "$work/a/$what" "$work/b/$what"
done
must demo-archive "$work/demo2" --patients 30 --seed 5 -j 1 -q
same threads_demo_archive "$demo" "$work/demo2"
rm -rf "$work/demo2"

a=$work/a
n_shards=$(find "$a/store/prep" -name '[0-9]*.h5' | wc -l)
if [ "$n_shards" -ge 4 ]; then ok several_shards; else bad several_shards "only $n_shards"; fi
check report_html "no self-contained report" grep -q '</html>' "$a/report/report.html"
if grep -qE '(src|href)="?(https?:)?//' "$a/report/report.html"; then
    bad report_quiet "the report asks for something outside"
else ok report_quiet; fi
for f in catalog.db key; do
    mode=$(stat -c %a "$a/store/$f")
    if [ "$mode" = 600 ]; then ok "mode_$f"; else bad "mode_$f" "mode $mode"; fi
done

# the same command again has nothing to do and changes nothing
tree_sum "$a/store/prep" >"$work/before"
tree_sum "$a/run" >>"$work/before"
tree_sum "$a/pred-val" >>"$work/before"
must prepare "$a/store" -c "$yaml" -q
must train -c "$yaml" --set "run.cohort=$a/cohort.h5" -o "$a/run" -q
must predict "$a/run" --cohort "$a/cohort.h5" --split val -o "$a/pred-val" -q
tree_sum "$a/store/prep" >"$work/after"
tree_sum "$a/run" >>"$work/after"
tree_sum "$a/pred-val" >>"$work/after"
same again "$work/before" "$work/after"

# ---- books: files seen = kept + excluded + failed; nobody in two folds ---------------------------
"$mammovit" scan "$demo/archive" -o "$work/s" --json -q >"$work/scan.json" 2>/dev/null
n_files=$(find "$demo/archive" -type f | wc -l)
member() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$2"; }
seen=$(member seen "$work/scan.json")
if [ "$seen" = "$n_files" ]; then ok books_scan; else bad books_scan "seen $seen of $n_files files"; fi
"$mammovit" prepare "$a/store" -c "$yaml" --json -q >"$work/prep.json" 2>/dev/null
seen=$(member seen "$work/prep.json") kept=$(member kept "$work/prep.json")
excluded=$(member excluded "$work/prep.json") failed=$(member failed "$work/prep.json")
if [ "${seen:-0}" -eq "$n_files" ] && [ "$((kept + excluded + failed))" -eq "$seen" ] &&
    [ "$kept" -gt 0 ] && [ "$excluded" -gt 0 ] && [ "$failed" -gt 0 ]; then
    ok books_prepare
else
    bad books_prepare "$(cat "$work/prep.json") for $n_files files"
fi
rows=$(($(wc -l <"$a/split.csv") - 1))
out=$(($(wc -l <"$a/split_exclusions.csv") - 1))
if [ "$((rows + out))" -eq "$kept" ]; then ok books_split; else
    bad books_split "$kept images prepared, $rows in the cohort and $out left out"
fi
twice=$(awk -F, 'NR > 1 {print $3, $6}' "$a/split.csv" | sort -u | cut -d' ' -f1 | uniq -d | wc -l)
if [ "$twice" -eq 0 ]; then ok one_fold_each; else bad one_fold_each "$twice patients in two folds"; fi

# ---- no identifier crosses to the pseudonymous side ----------------------------------------------
# (ids that begin with zeros are the digits of small numbers, too)
cut -d, -f1 "$demo/clinical.csv" | tail -n +2 | grep -v '^00' | sort -u >"$work/ids"
leaks=$(grep -rlaF -f "$work/ids" "$a/store/prep" "$a/cohort.h5" "$a/split.csv" "$a/split_unmatched.csv" "$a/run" "$a"/pred-* \
    "$a/report" "$a/catalog.csv" "$a/store/flow.json" "$a/store/exclusions.csv" 2>/dev/null | xargs)
if [ -s "$work/ids" ] && [ -z "$leaks" ]; then ok no_identifiers; else
    bad no_identifiers "raw patient ids in: ${leaks:-nothing to look for}"
fi
if grep -qaF -f "$work/ids" "$work/a.log" "$work/b.log"; then bad no_identifiers_log "raw ids on stderr"; else
    ok no_identifiers_log
fi

# ---- kill -9, then the same command again: the bytes of an undisturbed run -----------------------
# killed NAME POINT COMMAND...: must die by SIGKILL at the point
killed() {
    local name=$1 point=$2 got
    shift 2
    (
        MAMMOVIT_TEST_KILL=$point "$mammovit" "$@" </dev/null
        exit $?
    ) >"$work/out" 2>&1
    got=$?
    [ "$got" -eq 137 ] && return 0
    bad "$name" "exit status $got, wanted death at $point"
    return 1
}
# a part of the archive is enough: every kind of commit happens more than once
part=$work/part
mkdir "$part"
find "$demo/archive" -mindepth 1 -maxdepth 1 | sort | head -n 24 | xargs cp -alt "$part"
mkdir "$work/fresh"
cp "$a/store/key" "$work/fresh/key"
cp -a "$work/fresh" "$work/bare"
must scan "$part" -o "$work/fresh" -q
must show "$work/fresh" --export "$work/fresh.csv"
cp -a "$work/fresh" "$work/calm"
must prepare "$work/calm" -c "$yaml" -q
must show "$work/calm" -c "$yaml" --export "$work/calm.csv"
prepare_points="prepare_mid_shard:7 prepare_before_shard:1 prepare_after_shard:1 prepare_before_db:2
    prepare_in_db:21 prepare_after_db:1"
train_points="train_step:2 ckpt_before:1 ckpt_inside:2 ckpt_inside:3 ckpt_after:1 ckpt_after:2"
if [ -n "${SAN:-}" ]; then # a sanitizer makes everything slow and adds nothing to a kill
    prepare_points="prepare_mid_shard:7 prepare_in_db:21"
    train_points="train_step:2 ckpt_inside:2"
fi
for point in scan_before_commit:1 scan_after_commit:1; do
    rm -rf "$work/k"
    cp -a "$work/bare" "$work/k"
    killed "kill_$point" "$point" scan "$part" -o "$work/k" -q || continue
    must scan "$part" -o "$work/k" -q
    must show "$work/k" --export "$work/k.csv"
    same "kill_$point" "$work/fresh.csv" "$work/k.csv"
done
for point in $prepare_points; do
    rm -rf "$work/k"
    cp -a "$work/fresh" "$work/k"
    killed "kill_$point" "$point" prepare "$work/k" -c "$yaml" -q || continue
    must prepare "$work/k" -c "$yaml" -q
    must show "$work/k" -c "$yaml" --export "$work/k.csv"
    same "kill_$point" "$work/calm/prep" "$work/k/prep"
    same "kill_catalog_$point" "$work/calm.csv" "$work/k.csv"
done
for point in $train_points; do
    rm -rf "$work/kr"
    killed "kill_$point" "$point" train -c "$yaml" --set "run.cohort=$a/cohort.h5" -o "$work/kr" -q || continue
    must train -c "$yaml" --set "run.cohort=$a/cohort.h5" -o "$work/kr" -q
    same "kill_$point" "$a/run" "$work/kr"
done
left=$(pgrep -f "^$mammovit " | wc -l)
if [ "$left" -eq 0 ]; then ok no_process_left; else bad no_process_left "$left processes"; fi

# ---- one exam straight from its files ------------------------------------------------------------
# Folders of an exam are tried until three exams of the cohort were found; each of its images must
# have the digits of the corridor, and no image may be missing.
n_same=0 n_tried=0
while read -r dir && [ "$n_same" -lt 3 ]; do
    n_tried=$((n_tried + 1))
    [ "$n_tried" -gt 25 ] && break
    rm -rf "$work/one"
    "$mammovit" predict "$a/run" --dicom "$dir" -o "$work/one" --maps -q >/dev/null 2>&1 || continue
    tail -n +2 "$work/one/predictions.csv" | cut -d, -f4-7 | sort >"$work/one.txt"
    first=$(head -n 1 "$work/one.txt")
    exam=$(cut -d, -f1,4-7 "$a/pred-all/predictions.csv" | grep -F ",$first" | head -n 1 | cut -d, -f1)
    [ -n "$exam" ] || continue
    grep "^$exam," "$a/pred-all/predictions.csv" | cut -d, -f4-7 | sort >"$work/all.txt"
    if cmp -s "$work/one.txt" "$work/all.txt"; then n_same=$((n_same + 1)); else
        bad predict_dicom "an exam's scores differ from the corridor's"
        break
    fi
done <<<"$(find "$demo/archive" -type f -printf '%h\n' | sort | uniq -c | awk '$1 >= 4 && $1 <= 8 {print $2}')"
if [ "$n_same" -eq 3 ]; then ok predict_dicom; else
    bad predict_dicom "$n_same of 3 exams found among $n_tried folders"
fi
n_maps=$(find "$work/one/maps" -name '*-rollout.png' | wc -l)
if [ "$n_maps" -eq "$(wc -l <"$work/one.txt")" ] && [ -s "$work/one/maps.h5" ]; then ok exam_maps; else
    bad exam_maps "$n_maps pictures of $(wc -l <"$work/one.txt") images"
fi
expect predict_dicom_many 3 "more than one" predict "$a/run" --dicom "$demo/archive" -o "$work/many"

# ---- bad inputs ----------------------------------------------------------------------------------
csv=$demo/clinical.csv
split_with() { "$mammovit" split "$a/store" --labels "$1" -c "$yaml" -o "$work/x.h5" --force -q; }
expect split_exists 3 "exists; give --force" split "$a/store" --labels "$csv" -c "$yaml" -o "$a/cohort.h5"
expect split_other_cohort 3 "split.csv of another cohort ('cohort.h5')" split "$a/store" \
    --labels "$csv" -c "$yaml" -o "$a/second.h5"
sed '1s/diagnosis_date/diag/' "$csv" >"$work/no_column.csv"
expect missing_column 3 "column 'diagnosis_date' is missing" split "$a/store" \
    --labels "$work/no_column.csv" -c "$yaml" -o "$work/x.h5"
line=$(awk -F, 'NR > 1 {print; exit}' "$csv")
id=${line%%,*}
{
    cat "$csv"
    echo "$line" | awk -F, -v OFS=, -v h="$(head -n 1 "$csv")" '{
        n = split(h, name, ",")
        for (i = 1; i <= n; i++) if (name[i] == "last_negative_date") $i = "1999-01-01"
        print}'
} >"$work/two.csv"
if split_with "$work/two.csv" >"$work/out" 2>&1 && grep -q LABEL_CONFLICT "$work/split_exclusions.csv"; then
    ok two_labels
else bad two_labels "no LABEL_CONFLICT"; fi
{ head -n 1 "$csv" && grep -v "^$id," "$csv" | tail -n +2; } >"$work/less.csv"
if split_with "$work/less.csv" >"$work/out" 2>&1 && grep -q NO_LABEL "$work/split_exclusions.csv" &&
    ! grep -qF "$id" "$work/out"; then
    ok unknown_patient
else bad unknown_patient "no NO_LABEL, or the id was printed"; fi
{ cat "$csv" && echo "UNKNOWN-1,${line#*,}"; } >"$work/more.csv"
if "$mammovit" split "$a/store" --labels "$work/more.csv" -c "$yaml" -o "$work/x.h5" --force 2>&1 |
    grep -q 'labels_unmatched rows='; then
    ok label_without_image
else bad label_without_image "not mentioned"; fi
sed -E 's/^0+([0-9])/\1/' "$csv" >"$work/short.csv" # ids that lost their leading zeros
tree_sum "$a" >"$work/before"
if "$mammovit" split "$a/store" --labels "$work/short.csv" --dry-run -q >"$work/out" 2>&1 &&
    grep -q 'diagnosis_date *diagnosis_date (patient); in' "$work/out" &&
    grep -q 'would match with labels.normalise=zeros' "$work/out" &&
    ! grep -qF -f "$work/ids" "$work/out"; then
    ok split_dry_run
else bad split_dry_run "$(tail -n 3 "$work/out")"; fi
tree_sum "$a" >"$work/after"
same split_dry_run_writes_nothing "$work/before" "$work/after"
all=$("$mammovit" split "$a/store" --labels "$work/short.csv" --dry-run -q --set labels.normalise=zeros |
    sed -nE 's/.*, ([0-9]+) of \1 rows have an image$/\1/p')
if [ "${all:-0}" -gt 0 ]; then ok split_normalise; else bad split_normalise "not every row found its images"; fi
awk -F, -v OFS=, 'NR == 1 {for (i = 1; i <= NF; i++) if ($i == "last_negative_date") col = i}
    NR == 2 {$col = "2020-13-45"} {print}' "$csv" >"$work/date.csv"
expect bad_date 3 "holds no date" split "$a/store" --labels "$work/date.csv" -c "$yaml" -o "$work/x.h5" --force
patient=$(awk -F, 'NR == 2 {print $3}' "$a/split.csv")
{ cat "$a/split.csv" && awk -F, -v OFS=, -v p="$patient" '$3 == p {
    $6 = $6 == "train" ? "test" : "train"; print; exit}' "$a/split.csv"; } >"$work/keep.csv"
expect two_splits 3 "a patient is in two splits" split "$a/store" --labels "$csv" -c "$yaml" \
    --keep "$work/keep.csv" -o "$work/x.h5" --force
expect unprepared 3 "no outcome under prepare id" split "$a/store" --labels "$csv" -c "$yaml" \
    --set prepare.sizes=96x80 -o "$work/x.h5" --force
expect other_config 3 "another config, seed or cohort" train -c "$yaml" \
    --set "run.cohort=$a/cohort.h5" --set train.lr=1e-4 -o "$a/run"
expect test_needs_final 2 "" report "$a/pred-test" -o "$work/rep" -c "$yaml"
expect val_is_not_final 2 "--final is for test exams" report "$a/pred-val" -o "$work/rep" -c "$yaml" --final
expect unknown_split 2 "unknown split 'tset'" predict "$a/run" --cohort "$a/cohort.h5" --split tset -o "$work/p"

# --keep: nobody moves
must split "$a/store" --labels "$csv" -c "$yaml" --set split.seed=77 --keep "$a/split.csv" -o "$work/kept.h5" -q --force
same keep_old_split "$a/split.csv" "$work/split.csv"

# ---- --json: every line of stdout is one JSON value ------------------------------------------------
# json NAME MEMBER WORDS...: and one of them has the member
json() {
    local name=json_$1 key=$2
    shift 2
    if "$mammovit" "$@" --json -q 2>/dev/null >"$work/json" && [ -s "$work/json" ] &&
        KEY=$key perl -MJSON::PP -ne '$n += exists decode_json($_)->{$ENV{KEY}}; END {exit !$n}' \
            "$work/json"; then ok "$name"; else
        bad "$name" "$(head -c 200 "$work/json")"
    fi
}
json show_store files show "$a/store" -c "$yaml"
json show_cohort mean_all show "$a/cohort.h5"
json show_run val_auc show "$a/run"
expect show_run_keep 0 "share of patches kept in training: 0.5; token reduction: none" show "$a/run"
json show_pred hashes show "$a/pred-val"
json show_report metrics show "$a/report"
json show_config yaml show config
json show_weights shape show "$a/run/$(cat "$a/run/best")/model.safetensors"
json show_dicom reasons show "$(find "$demo/archive" -type f | sort | head -n 1)" -c "$yaml"
json verify_store images verify "$a/store"
json verify_cohort shards verify "$a/cohort.h5"
json verify_run epoch verify "$a/run"
json split positives split "$a/store" --labels "$csv" -c "$yaml" -o "$work/j.h5" --force
json plan params train -c "$yaml" --set "run.cohort=$a/cohort.h5" --dry-run -o "$work/j"
json train best_auc train -c "$yaml" --set "run.cohort=$a/cohort.h5" -o "$a/run"
json predict exams predict "$a/run" --cohort "$a/cohort.h5" --split val -o "$work/jp"
json report auc report "$work/jp" -o "$work/jr" -c "$yaml"
json flops macs flops --model deit_tiny_patch16_224
json weights model weights export "$a/run" -o "$work/j.safetensors"
json archive patients demo-archive "$work/j-archive" --patients 2

# ---- deid-check ----------------------------------------------------------------------------------
expect deid_clean 0 "none was found" deid-check "$a/store" "$a/cohort.h5" "$a/split.csv" \
    "$a/split_exclusions.csv" "$a/split_merges.csv" "$a/split_summary.csv" "$a/run" "$a/pred-test" "$a/report" "$a/store/prep" \
    "$a/store/exclusions.csv" "$a/catalog.csv"
expect deid_found 6 "$csv: patient_id" deid-check "$a/store" "$a/report" "$csv"
if grep -qF "$id" "$work/out"; then bad deid_silent "the identifier was printed"; else
    ok deid_silent
fi
json deid identifiers deid-check "$a/store" "$a/cohort.h5"

# ---- verify --------------------------------------------------------------------------------------
expect verify_store 0 "all readable" verify "$a/store"
expect verify_cohort 0 "all hashes agree" verify "$a/cohort.h5"
expect verify_run 0 "agree with their hash" verify "$a/run"
first=$(find "$a/store/prep" -path '*128x112*' -name '00000.h5')
second=${first%00000.h5}00001.h5
cp "$first" "$work/first.h5"
cp "$second" "$work/second.h5"
size=$(stat -c %s "$first")
printf '\377\377\377\377' | dd of="$first" bs=1 seek=$((size / 2)) conv=notrunc status=none
expect verify_damaged_store 6 "" verify "$a/store"
expect verify_damaged 6 "" verify "$a/cohort.h5"
cp "$work/second.h5" "$first"
cp "$work/first.h5" "$second"
expect verify_swapped_store 6 "" verify "$a/store"
expect verify_swapped 6 "" verify "$a/cohort.h5"
cp "$work/first.h5" "$first"
rm "$second"
expect verify_missing_store 6 "" verify "$a/store"
expect verify_missing 6 "" verify "$a/cohort.h5"
expect train_missing_shard 6 "" train -c "$yaml" --set "run.cohort=$a/cohort.h5" -o "$work/r9" -q
cp "$work/second.h5" "$second"
expect verify_repaired 0 "all hashes agree" verify "$a/cohort.h5"
best=$(cat "$a/run/best")
weights=$a/run/$best/model.safetensors
at=$(($(stat -c %s "$weights") - 3))
was=$(od -An -tu1 -j "$at" -N 1 "$weights")
# shellcheck disable=SC2059 # the format is the byte
printf "\\$(printf %o $((was ^ 1)))" | dd of="$weights" bs=1 seek="$at" conv=notrunc status=none
expect verify_damaged_weights 6 "not those that were saved" verify "$a/run"

exit $((n_bad > 0))
