#!/bin/bash
# `make lint`: layering, names, width, comments, formatting, scripts, sizes of the tracked files.
# Each check prints its findings and then what it looked at with a count. Exit 1 on any finding.
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.." || exit 1
top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT

tracked() {
    git ls-files -- "$@" | while read -r f; do
        [ -f "$f" ] && printf '%s\n' "$f"
    done
}
tracked '*.c' '*.h' '*.cpp' '*.cu' '*.cuh' >"$top/source"
{
    tracked '*.sh' .ci/run
    tracked 'tests/fixtures/*' | while read -r f; do
        head -c 32 "$f" | LC_ALL=C grep -aqE '^#!/bin/(ba)?sh' && printf '%s\n' "$f"
    done
} | sort -u >"$top/scripts"
tracked | while read -r f; do
    LC_ALL=C grep -Iq . "$f" && printf '%s\n' "$f"
done >"$top/text"

# report NAME LOOKED-AT: findings come on stdin, one per line
report() {
    local findings
    findings=$(cat)
    local n=0
    if [ -n "$findings" ]; then
        printf '%s\n' "$findings"
        n=$(printf '%s\n' "$findings" | wc -l)
        : >"$top/bad" # a variable would be lost at the end of the pipe
    fi
    echo "lint: $1: $2, $n findings"
}

over() { xargs -r -d '\n' "$@"; }
count() { wc -l <"$top/$1"; }

tests/lint/layers.sh || : >"$top/bad"

# What a header exports begins with the stem of the header, its first words, its room, a type that
# the header declares, or a further prefix from this table (one header for several files).
more_prefixes='cli/cmd.h args;dicom/codec.h rle jll jpeg jls j2k;dicom/dcmtk_shim.h dcm;model/tape.h op'
# shellcheck disable=SC2016 # the program below is awk
names() {
    over awk -v more="$more_prefixes" '
    BEGIN {
        n = split(more, rows, ";")
        for (i = 1; i <= n; i++) {
            k = split(rows[i], w, " ")
            for (j = 2; j <= k; j++) extra[w[1]] = extra[w[1]] " " w[j]
        }
    }
    FNR == 1 {
        stem = FILENAME
        sub(/.*\//, "", stem)
        sub(/\.h$/, "", stem)
        split("", ok)
        ok[stem] = 1
        ok[substr(FILENAME, 1, index(FILENAME, "/") - 1)] = 1
        k = split(extra[FILENAME], w, " ")
        for (j = 1; j <= k; j++) ok[w[j]] = 1
        part = stem
        while (sub(/_[^_]*$/, "", part)) ok[part] = 1
    }
    match($0, /^(typedef )?(struct|enum|union) [a-z0-9_]+/) {
        n = split(substr($0, RSTART, RLENGTH), w, " ")
        ok[w[n]] = 1
    }
    match($0, /^} [a-z0-9_]+;/) { ok[substr($0, RSTART + 2, RLENGTH - 3)] = 1 }
    /^[A-Za-z_].*[ *][a-z][a-z0-9_]*\(/ && !/^(typedef|static|#|extern "C"|return)/ {
        line = $0
        gsub(/(PRINTF_LIKE|__attribute__) *\(.*/, "", line)
        sub(/\(.*/, "", line)
        sub(/.*[ *]/, "", line)
        good = 0
        for (k in ok) if (line == k || index(line, k "_") == 1) good = 1
        if (!good) print FILENAME ":" FNR ": " line " does not begin with " stem "_"
        print line > "'"$top"'/exported"
    }' <"$top/headers"
}
grep '\.h$' "$top/source" | grep -v -E '^tests/|^core/banned' >"$top/headers"
: >"$top/exported"
names >"$top/found" 2>&1
[ -s "$top/exported" ] || echo "no exported function was found" >>"$top/found"
report names "$(count exported) exported functions carry the name of their file" <"$top/found"

# shell is exempt: a long command is clearer on one line than broken
sort -u "$top/source" >"$top/wide"
over grep -nHE '^.{101,}' <"$top/wide" |
    sed -E 's/^([^:]*:[0-9]+):.*/\1: longer than 100 columns/' |
    report width "$(count wide) C files are at most 100 columns wide"

# The mark and its issue; the pattern is in two parts so that this line is not a finding.
mark='TO''DO|FIX''ME|XX''X'
over grep -nHE "\b($mark)\b" <"$top/wide" | grep -vE "TO""DO\(#[0-9]+\)" |
    report marks "$(count wide) files name an issue in every open point"

while read -r f; do
    case $(head -c 2 "$f") in '/*' | '//') continue ;; esac
    echo "$f:1: the purpose of the file is missing"
done <"$top/source" >"$top/found"
while read -r f; do
    sed -n 2p "$f" | grep -q '^# ' || echo "$f:2: the purpose of the script is missing"
    # A script that is only read by others (lib.sh) need not be executable.
    [ -x "$f" ] || [ "${f##*/}" = lib.sh ] || echo "$f:1: not executable"
done <"$top/scripts" >>"$top/found"
report heads "$(($(count source) + $(count scripts))) files say what they are for" <"$top/found"

if command -v clang-format >/dev/null; then
    over clang-format --dry-run -Werror <"$top/source" 2>&1 | grep -E 'error:' |
        cut -d: -f1 | sort | uniq -c | awk '{ print $2 ": " $1 " places, run make format" }' |
        report format "$(count source) files stand as clang-format writes them"
else
    echo "clang-format is missing, run make deps" | report format "nothing"
fi

if command -v shellcheck >/dev/null; then
    over shellcheck -f gcc <"$top/scripts" 2>&1 |
        report scripts "shellcheck accepts $(count scripts) scripts"
else
    echo "shellcheck is missing, run make deps" | report scripts "nothing"
fi

over grep -nHE '(^|[^A-Za-z0-9_.$}])/(work|root|farm)/' <"$top/text" | cut -c1-160 |
    report paths "$(count text) text files name no folder of one machine"

tracked | while read -r f; do
    size=$(stat -c %s "$f") most=262144
    case $f in docs/examples/*) most=1048576 ;; esac # a whole report with its pictures
    [ "$size" -gt "$most" ] && echo "$f: $size bytes, at most $most are allowed"
done | report sizes "$(tracked | wc -l) tracked files are at most 256 KiB, examples 1 MiB"

for list in source scripts text; do
    [ -s "$top/$list" ] || { echo "lint: no tracked $list was found" && : >"$top/bad"; }
done
[ ! -e "$top/bad" ]
