#!/bin/bash
# The documents against the tree: every source file is in the reading order, every verb and shared
# option in the list of commands, every crash point and table column in the formats, no dead link.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1

# lacks NAME FILE WORDS: none of the words may be missing in the document
lacks() {
    local name=$1 file=$2 w missing=""
    shift 2
    for w in "$@"; do grep -qF -- "$w" "$file" || missing="$missing $w"; done
    if [ $# -eq 0 ]; then bad "$name" "nothing to look for"; elif [ -z "$missing" ]; then ok "$name"; else
        bad "$name" "$file lacks$missing"
    fi
}

tick='`'
# shellcheck disable=SC2046 # one word per name
{
    for room in core dicom preprocess model model/cpu train eval; do
        lacks "reading_order_$room" docs/architecture.md $(find "$room" -maxdepth 1 -name '*.[ch]*' \
            -printf '%f\n' | sed "s/\..*//; s/^/$tick/" | sort -u)
    done
    lacks verbs docs/commands.md $("$mammovit" --help |
        awk '/^verbs:/ {on = 1; next} on && /^$/ {exit} on {print "`" $1}')
    lacks own_options docs/commands.md $("$mammovit" --help |
        awk '/^verbs:/ {on = 1; next} on && /^$/ {exit} on {print $1}' | while read -r verb; do
        "$mammovit" "$verb" --help | sed -nE 's/^  (--[a-z-]+).*/\1/p'
    done | sort -u)
    lacks shared_options docs/commands.md $("$mammovit" --help | grep -oE '\-\-[a-z-]+' |
        grep -v -- '--help' | sort -u)
    lacks attributes docs/dicom.md $(sed -nE 's/^ +X\(([A-Za-z]+), 0x.*/\1/p' dicom/tags.h |
        grep -vE '^(Shared|PerFrame)Functional')
    lacks quirks docs/dicom.md $(sed -nE "s/^ +(ROW|ACTS)\(([a-z0-9_]+),.*/$tick\2$tick/p" dicom/quirk.c)
    lacks crash_points docs/formats.md $(grep -rohE --include='*.c' 'kill_point\("[a-z_]+"' preprocess train |
        cut -d'"' -f2 | sed "s/^/$tick/" | sort -u)
}
sed '/^<!-- reason table: begin/,/^<!-- reason table: end/!d; /^<!--/d' docs/dicom.md >"$work/reasons"
if "$mammovit" show reasons | diff - "$work/reasons" >&2; then
    ok reason_table
else
    bad reason_table "docs/dicom.md differs from 'mammovit show reasons'"
fi
# shellcheck disable=SC2016 # the quotes of Markdown
stale=$(sed -n '/^```c$/,/^```$/{/^```/d;p}' docs/adding-a-network.md | grep . | while read -r line; do
    cat model/*.[ch] | grep -qF -- "$line" || echo "$line"
done)
if [ -z "$stale" ]; then ok quoted_code; else
    bad quoted_code "docs/adding-a-network.md quotes what is not in model/: $stale"
fi
for f in README.md docs/*.md; do
    dead=$(grep -oE '\]\([^)#]+' "$f" | sed 's/](//' | grep -v '^http' | while read -r link; do
        [ -e "$(dirname "$f")/$link" ] || echo "$link"
    done)
    if [ -z "$dead" ]; then ok "links_$f"; else bad "links_$f" "dead: $(echo "$dead" | xargs)"; fi
done
exit $((n_bad > 0))
