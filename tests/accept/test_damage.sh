#!/bin/bash
# Some thousand damaged files (DICOM, PNG, TIFF) through scan and prepare. Every file becomes one
# row; what the bytes prove broken is left out with a reason; what is a legal variant is kept;
# nothing that is kept has other stored samples than the whole file, but where no decoder could know
# (a flipped sample, a code that still decodes): those are counted. No decoder crashes, none reaches
# a limit but on a bomb, and no process stays behind. What each file is stands in damage.csv, see
# damage.c and damage_picture.c.
# SEED=1 THREADS=0 LIMIT=1500 (seconds of one stage) RSS_MIB=2560 WORK=DIR (kept).
# PARTS="demo wrap picture real": only these parts. DATA=DIR is where the files of `real` are, which
# have the encodings that the demo archive lacks.
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
seed=${SEED:-1}
threads=${THREADS:-0}
limit=${LIMIT:-1500}
rss_mib=${RSS_MIB:-2560}
parts=${PARTS:-demo wrap picture real}
place=${WORK:-$work}
damage=$BUILD/tests/accept/damage
pictures=${damage}_picture
least=2000

if ! make -s -C "$top" BUILD="$BUILD" "$damage" "$pictures" >"$work/make" 2>&1; then
    tail -n 20 "$work/make"
    bad damage "does not build"
    exit 1
fi
meter=()
[ -x /usr/bin/time ] && meter=(/usr/bin/time -f %M -o "$work/rss")

# stage NAME WORDS...: the program under a time limit; checks its end, its memory and its children
stage() {
    local name=$1 mark=damage-$1-$$ got kib t0=$SECONDS left
    shift
    rm -f "$work/rss"
    MAMMOVIT_TEST_MARK=$mark timeout -k 10 "$limit" "${meter[@]}" "$mammovit" "$@" \
        -j "$threads" -q >"$work/out" 2>&1 </dev/null
    got=$?
    echo "$name: $((SECONDS - t0)) s"
    if [ $got -eq 0 ]; then ok "${name}_ends"; else
        bad "${name}_ends" "exit status $got after $((SECONDS - t0)) s"
        tail -n 5 "$work/out" | sed 's/^/    /'
    fi
    left=$(grep -lsaF "MAMMOVIT_TEST_MARK=$mark" /proc/[0-9]*/environ)
    if [ -z "$left" ]; then ok "${name}_leaves_no_process"; else
        bad "${name}_leaves_no_process" "$(echo "$left" | tr '\n' ' ')"
    fi
    if [ ${#meter[@]} -eq 0 ]; then
        skip "${name}_memory" "/usr/bin/time is not here"
        return $got
    fi
    kib=$(tail -n 1 "$work/rss" 2>/dev/null)
    if [[ ! $kib =~ ^[0-9]+$ ]]; then
        bad "${name}_memory" "was not measured: the stage did not end by itself"
        return 1
    fi
    echo "$name: largest process $((kib / 1024)) MiB"
    if [ "$((kib / 1024))" -le "$rss_mib" ]; then ok "${name}_memory"; else
        bad "${name}_memory" "a process took $((kib / 1024)) MiB, at most $rss_mib are allowed"
    fi
    return $got
}

# none NAME WHY: ok if $work/list is empty; else its lines
none() {
    if [ ! -s "$work/list" ]; then ok "$1"; else
        bad "$1" "$(wc -l <"$work/list") files: $2"
        head -n 60 "$work/list" | sed 's/^/    /'
    fi
}

# pick WORDS...: the lines of $work/joined for which the awk condition holds, shortened.
# Fields: file source class detectable accept rule scan-reason reason hash whole-hash codes
pick() {
    awk -F'\t' "$1"' {print $1 ": " ($8 == "" ? "kept" : $8) (($11 == "") ? "" : " (" $11 ")") \
        ", " $6}' "$work/joined" >"$work/list"
}

# counts of one archive: rows against the list, the books against the rows
check_rows() {
    local name=$1 dir=$2 n out
    n=$(tail -n +2 "$dir/damage.csv" | wc -l)
    out=$(awk -F'\t' '$3 != "" && $3 != "NOT_JUDGED"' "$dir/rows.tsv" | wc -l)
    cut -f1 "$dir/rows.tsv" | sort >"$work/have"
    tail -n +2 "$dir/damage.csv" | cut -d, -f1 | sort >"$work/want"
    diff "$work/want" "$work/have" | grep '^[<>]' >"$work/list"
    none "${name}_rows" "not exactly one row each"
    awk -F'\t' '$3 == "NOT_JUDGED" {print $1}' "$dir/rows.tsv" >"$work/list"
    none "${name}_judged" "no outcome"
    "$mammovit" show "$dir/store" --export "$work/export.csv" -c "$yaml" "${words[@]}" -q \
        >"$work/out" 2>&1
    if [ "$(tail -n +2 "$work/export.csv" | wc -l)" -eq "$n" ]; then ok "${name}_export"; else
        bad "${name}_export" "$(tail -n +2 "$work/export.csv" | wc -l) rows, $n files"
        tail -n 3 "$work/out" | sed 's/^/    /'
    fi
    # file and reason of exclusions.csv are what the catalogue says
    awk -F'\t' '$3 != "" {print $6 "," $3}' "$dir/rows.tsv" | sort >"$work/want"
    awk -F, 'NR == 1 {for (i = 1; i <= NF; i++) at[$i] = i; next}
             {print $at["file"] "," $at["reason"]}' "$dir/store/exclusions.csv" | sort >"$work/have"
    if [ -s "$work/have" ] && cmp -s "$work/want" "$work/have"; then ok "${name}_exclusions"; else
        bad "${name}_exclusions" "$(wc -l <"$work/have") rows for $out files left out"
    fi
    if [ "$(tr -d ' \n' <"$dir/store/flow.json" | grep -cE "\"seen\":${n}[,}]")" -eq 1 ]; then
        ok "${name}_flow"
    else
        bad "${name}_flow" "flow.json does not count $n files"
    fi
}

# shellcheck disable=SC2016 # the conditions are awk
check_verdicts() {
    local name=$1 dir=$2
    awk -F'\t' -v OFS='\t' '
        FNR == NR {scan[$1] = $2; why[$1] = $3; hash[$1] = $4; codes[$1] = $5; next}
        FNR == 1 {next}
        $3 == "whole" {whole[$2] = hash[$1]}
        {print $1, $2, $3, $4, $5, $6, scan[$1], why[$1], hash[$1], whole[$2], codes[$1]}
        ' "$dir/rows.tsv" <(tr ',' '\t' <"$dir/damage.csv") >"$work/joined"
    pick '$3 == "whole" && ($8 != "" || $9 == "")'
    none "${name}_whole" "undamaged, yet left out"
    pick '$8 == "DECODER_CRASH" || $7 == "DECODER_CRASH"'
    none "${name}_no_crash" "the decoder died"
    pick '$8 == "DECODER_LIMIT" && $3 !~ /^bomb_/'
    none "${name}_no_limit" "no bomb, yet over a limit"
    pick '$5 == "refused" && $8 == ""'
    none "${name}_refused" "damaged for certain, yet kept"
    pick '$5 == "noticed" && $8 == "" && ($9 != $10 || $11 !~ /TS_LIES/)'
    none "${name}_noticed" "kept with other samples or without a note"
    pick '$5 == "kept" && ($8 != "" || $9 != $10)'
    none "${name}_kept" "legal, yet left out or with other samples"
    pick '$5 == "same" && $8 == "" && $9 != $10'
    none "${name}_same" "kept with other samples"
    awk -F'\t' -v name="$name" '
        {k = $4; n[k]++; if ($8 != "") out[k]++; else if ($9 == $10) same[k]++; else other[k]++}
        $8 == "" && $9 != $10 {class[$3 " " $2]++}
        END {
            for (k in n)
                printf "%s: detectable=%s: %d files, %d left out, %d kept with the same samples, " \
                    "%d kept with others\n", name, k, n[k], out[k], same[k], other[k]
            for (k in class) print name ": kept with other samples: " k ": " class[k]
        }' "$work/joined" | sort
    # a kept file has a note when a code stands beside it; blind: other samples, and nothing shows it
    awk -F'\t' -v name="$name" '
        $8 != "" {out++}
        $8 == "" && $11 != "" {noted++}
        $8 == "" && $9 != $10 {blind++}
        $8 == "DECODER_CRASH" || $7 == "DECODER_CRASH" {crashed++}
        $8 == "DECODER_LIMIT" || $7 == "DECODER_LIMIT" {hung++; if ($3 ~ /^bomb_/) bombs++}
        END {
            printf "%s: %d files made, %d refused, %d kept with a note, %d payload changes no decoder " \
                "can detect, %d crashes, %d hangs (and %d bombs stopped at a limit)\n",
                name, NR, out, noted, blind, crashed, hung - bombs, bombs
        }' "$work/joined"
    awk -F'\t' '{print $8 == "" ? "kept" : $8}' "$work/joined" | sort | uniq -c | sort -rn |
        sed "s/^/$name: /"
}

# campaign NAME PROGRAM WORDS...: make the files, run both stages over them, judge
campaign() {
    local name=$1 program=$2 dir=$place/$1 sidecar=()
    shift 2
    rm -rf "$dir"
    mkdir -p "$dir/files"
    if ! "$program" "$dir" "$seed" "$@" >"$work/out" 2>&1; then
        bad "${name}_made" "$(tail -n 1 "$work/out")"
        return
    fi
    sed "s/^/$name: /" "$work/out"
    [ -f "$dir/sidecar.csv" ] && sidecar=(--set scan.sidecar="$dir/sidecar.csv")
    stage "${name}_scan" scan "$dir/files" -o "$dir/store" "${sidecar[@]}" || return
    stage "${name}_prepare" prepare "$dir/store" -c "$yaml" "${words[@]}" || return
    "$damage" rows "$dir/store/catalog.db" >"$dir/rows.tsv"
    check_rows "$name" "$dir"
    check_verdicts "$name" "$dir"
}

part_demo() {
    local files made sources
    must demo-archive "$work/whole" --patients 12 --seed "$seed" -q
    mapfile -t files < <(awk -F, -v dir="$work/whole/archive" '
        $2 == "ordinary" || $2 ~ /^(syntax_.*|big_endian|deflated|jpeg_ls|jpeg2000)$/ {
            print dir "/" $1}' "$work/whole/kinds.csv")
    campaign demo "$damage" demo "${files[@]}"
    made=$(($(wc -l <"$place/demo/damage.csv") - 1))
    if [ "$made" -ge $least ]; then ok files; else bad files "$made, wanted $least"; fi
    sources=$(tail -n +2 "$place/demo/damage.csv" | cut -d, -f2 | sort -u | grep -vc none)
    if [ "$sources" -ge 8 ]; then ok syntaxes; else bad syntaxes "$sources, wanted 8"; fi
}

part_wrap() {
    local files
    anything_goes
    must demo-archive "$work/sources" --patients 12 --seed "$seed" -q
    mapfile -t files < <(awk -F, -v dir="$work/sources/archive" '
        $2 == "ordinary" || $2 ~ /^(syntax_.*|jpeg_ls|jpeg2000)$/ {print dir "/" $1}' \
        "$work/sources/kinds.csv")
    campaign wrap "$damage" wrap "${files[@]}"
}

part_picture() {
    anything_goes
    campaign picture "$pictures"
}

part_real() {
    local files
    if [ -z "${DATA:-}" ]; then
        skip real "needs the real images: DATA=DIR"
        return
    fi
    anything_goes
    # one file there is nonsense by design: its code stream begins inside an item's length
    mapfile -t files < <(find "$DATA/mg_dicom" "$DATA/conformance" -type f -name '*.dcm' \
        ! -name '*embedded-sequence-delimiter*' | sort)
    campaign real "$damage" real "${files[@]}"
}

# What kind of image it is does not matter: only what cannot be decoded is left out. Images for
# processing are another domain, which a store has alone.
anything_goes() {
    mapfile -t words < <(sed -n '/^exclude:/,/^[a-z]/s/^  \([a-z_0-9]*\): \(exclude\|flag\)$/\1/p' \
        "$top/configs/default.yaml" | grep -v '^for_processing$' | sed 's/.*/--set\nexclude.&=flag/')
    words+=(--set prepare.fit=letterbox)
}

yaml=$top/configs/demo.yaml
for part in $parts; do
    words=()
    "part_$part"
done
[ "$n_bad" -eq 0 ]
