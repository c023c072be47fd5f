#!/usr/bin/env bash
# Real mammograms against what a person sees in them (DATA/VIEWS.tsv): side, view, chest wall, and that
# what is no screening view is left out by code. Files without any tag, PNG pictures among them, are refused as
# they are and accepted with a sidecar. Skips without DATA.
set -u
BUILD=${BUILD:-build}
DATA=${DATA:-}
if [ ! -e "$DATA/VIEWS.tsv" ]; then
    echo "skip views: DATA=DIR with VIEWS.tsv is not given"
    exit 0
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# one fact of `show`'s output
fact() { sed -n "s/^$1  *//p" "$tmp/out" | head -n 1; }
say() { if [ "$2" = "$3" ]; then echo "ok $1"; else echo "not ok $1: found '$2', a person sees '$3'"; fi; }
show() { "$BUILD/mammovit" show "$DATA/$1" "${@:2}" > "$tmp/out" 2> "$tmp/err"; }
wall_is() { say "$1 chest wall" "$(sed -n 's/.*chest wall stored on the //p' "$tmp/out")" "$2"; }
outcome() { sed -n 's/^left out  *\([A-Z_0-9]*\)[ :].*/\1/p' "$tmp/out" | head -n 1; }

awk -F'\t' 'BEGIN { print "file,patient_id,study_uid,exam_date,modality,laterality,view" }
    $1 ~ /odm_|^png\// && $2 ~ /^screening/ {
        n++; sub(/.*\//, "", $1)
        printf "%s,tagless-%d,2.25.%d,2020-01-01,MG,%s,%s\n", $1, n, n, $4, $5
    }' "$DATA/VIEWS.tsv" > "$tmp/sidecar.csv"

while IFS=$'\t' read -r file content wall side view _; do
    name=${file#*/}
    show "$file"
    code=$(outcome)
    case $file:$content in
    *odm_* | png/*)
        if [ -n "$code" ]; then echo "ok $name refused without tags ($code)"; else
            echo "not ok $name refused without tags: it was accepted"; fi
        case $content in screening*) ;; *) continue ;; esac
        show "$file" --set "scan.sidecar=$tmp/sidecar.csv"
        ;;
    *:screening*) ;;
    *)
        if [ -n "$code" ]; then echo "ok $name left out ($code)"; else
            echo "not ok $name left out: it was accepted, a person sees '$content'"; fi
        case $wall in left | right | top | bottom) wall_is "$name" "$wall" ;; esac
        continue
        ;;
    esac
    code=$(outcome)
    if [ -n "$code" ]; then
        echo "not ok $name kept: left out ($code)"
        continue
    fi
    echo "ok $name kept"
    say "$name side" "$(fact side)" "$side"
    say "$name view" "$(fact view)" "$view"
    # the prepared image has it left; where a right breast was mirrored before, that is noted
    if [ "$side:$wall" = R:left ]; then
        say "$name mirrored before" "$(grep -o ORIENT_CONFLICT "$tmp/out")" ORIENT_CONFLICT
    fi
    wall_is "$name" "$wall"
    # a breast that fills an 8-bit picture leaves no background to judge by: uncertain is the honest word
    pattern=POLARITY
    case $file in png/*) pattern='POLARITY_[FC]' ;; esac
    if grep -q "$pattern" "$tmp/out"; then
        echo "not ok $name background: $(grep -o 'POLARITY_[A-Z]*' "$tmp/out" | head -n 1)"
    else
        echo "ok $name background is dark"
    fi
done <<<"$(tail -n +2 "$DATA/VIEWS.tsv")"
