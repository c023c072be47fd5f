#!/bin/bash
# The life of a store, verb by verb: parts and their merge give the bytes of one run, damage is found
# and named, repair gives back the bytes and touches nothing else, lost rows are named.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
yaml=$top/tests/golden/corridor.yaml

must demo-archive "$work/demo" --patients 6 --seed 5 -q
must scan "$work/demo/archive" -o "$work/fresh" -q
cp -a "$work/fresh" "$work/one"
must prepare "$work/one" -c "$yaml" -q
must show "$work/one" -c "$yaml" --export "$work/one.csv"

# ---- parts -----------------------------------------------------------------------------------------
cp -a "$work/fresh" "$work/parts"
must prepare "$work/parts" -c "$yaml" -q --shard 2/3
must prepare "$work/parts" -c "$yaml" -q --shard 0/3
expect merge_too_early 3 "1 of 3 parts are missing: 1/3" prepare "$work/parts" -c "$yaml" --merge
must prepare "$work/parts" -c "$yaml" -q --shard 1/3
expect merge_and_shard 2 "without --shard" prepare "$work/parts" -c "$yaml" --merge --shard 1/3
expect merge 0 "kept" prepare "$work/parts" -c "$yaml" --merge
must show "$work/parts" -c "$yaml" --export "$work/parts.csv"
same merged_shards "$work/one/prep" "$work/parts/prep"
same merged_flow "$work/one/flow.json" "$work/parts/flow.json"
same merged_exclusions "$work/one/exclusions.csv" "$work/parts/exclusions.csv"
if [ -e "$work/parts/parts" ] && [ -n "$(ls "$work/parts/parts")" ]; then
    bad parts_removed "$(ls "$work/parts/parts")"
else ok parts_removed; fi

# ---- a forgotten config ----------------------------------------------------------------------------
expect no_config 0 "no -c was given, and the store holds the preparation" prepare "$work/one" --dry-run
expect no_config_first 0 "images to decode" prepare "$work/fresh" --dry-run
check no_config_first_quiet "it warns of nothing" test "$(grep -c 'no -c' "$work/out")" -eq 0
expect with_config 0 "judged before" prepare "$work/one" -c "$yaml" --dry-run
check with_config_quiet "it warns of a config that was given" test "$(grep -c 'no -c' "$work/out")" -eq 0

# ---- the way back ----------------------------------------------------------------------------------
mkdir -p "$work/safe"
expect reidentify 0 "" show "$work/one" --reidentify "$work/safe/map.csv"
check reidentify_private "others can read it" test "$(stat -c %a "$work/safe/map.csv")" = 600
named() { tail -n +2 "$1" | awk -F, '$1 != "" || $3 != "" { print $1 "," $2 "," $3 }' | sort; }
named "$work/one.csv" >"$work/named"
named "$work/safe/map.csv" | cmp -s - "$work/named"
check reidentify_rows "not one row per image" test $? -eq 0 -a "$(grep -c ',.*,.' "$work/named")" -gt 100
# each pseudonym is of one id and each id of one pseudonym: patient and issuer, study, image
columns() { tail -n +2 "$work/safe/map.csv" | cut -d, -f"$1" | sort -u | wc -l; }
for pair in 1:4,5 2:6 3:7; do
    name=${pair%:*} id=${pair#*:}
    n=$(columns "$name")
    check "reidentify_joins_$name" "pseudonyms and ids do not go together" \
        test "$n" -gt 1 -a "$n" = "$(columns "$id")" -a "$n" = "$(columns "$name,$id")"
done
cut -d, -f1 "$work/demo/clinical.csv" | tail -n +2 | sort -u >"$work/known"
tail -n +2 "$work/safe/map.csv" | cut -d, -f4 | sort -u | comm -12 - "$work/known" >"$work/met"
check reidentify_ids "not the ids of the table of outcomes" cmp -s "$work/known" "$work/met"
check reidentify_ids_many "too few of them" test "$(grep -c . "$work/known")" -gt 50
expect reidentify_again 3 "--force" show "$work/one" --reidentify "$work/safe/map.csv"
touch "$work/safe/cohort.h5"
expect reidentify_beside 3 "may leave the hospital" show "$work/one" --reidentify "$work/safe/m2.csv"

# ---- verify ----------------------------------------------------------------------------------------
expect verify_sound 0 "all readable" verify "$work/one"
prep=$(find "$work/one/prep" -mindepth 1 -maxdepth 1)
cp -a "$work/one" "$work/hurt"
hurt=$work/hurt/prep/$(basename "$prep")
flip() { # FILE OFFSET: another byte
    local was
    was=$(od -An -tu1 -j "$2" -N1 "$1")
    # shellcheck disable=SC2059 # the format is the byte
    printf "\\$(printf %o $((was ^ 16)))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}
flip "$hurt/128x112/00000.h5" 9000
rm "$hurt/64x48/00001.h5"
mv "$hurt/64x48/00000.h5" "$hurt/away"
mv "$hurt/64x48/00002.h5" "$hurt/64x48/00000.h5"
mv "$hurt/away" "$hurt/64x48/00002.h5"
touch "$hurt/64x48/00003.h5.partial"
expect verify_hurt 6 "128x112/00000.h5: damaged" verify "$work/hurt"
for line in "64x48/00001.h5: missing" "64x48/00000.h5: swapped: it holds the bytes of 64x48/00002.h5" \
    "64x48/00003.h5.partial: leftover" "store: 5 findings"; do
    check "verify_names" "no '$line'" grep -qF "$line" "$work/out"
done
stat -c '%n %i %y' "$hurt/128x112/"0000[12].h5 >"$work/before"

# ---- repair ----------------------------------------------------------------------------------------
cp -a "$work/hurt" "$work/killed"
(
    MAMMOVIT_TEST_KILL=repair_before_db:2 "$mammovit" repair "$work/killed" -c "$yaml" -q </dev/null
    exit $?
) >"$work/out" 2>&1
if [ $? -eq 137 ]; then ok repair_killed; else bad repair_killed "$(cat "$work/out")"; fi
expect repair_killed_again 0 "rows lost" repair "$work/killed" -c "$yaml"
same repair_killed_bytes "$work/one/prep" "$work/killed/prep"
expect repair 0 "4 shards rebuilt (0 with other bytes), 1 files removed" repair "$work/hurt" -c "$yaml"
same repair_bytes "$work/one/prep" "$work/hurt/prep"
stat -c '%n %i %y' "$hurt/128x112/"0000[12].h5 >"$work/after"
same repair_untouched "$work/before" "$work/after"
expect repair_verified 0 "all readable" verify "$work/hurt"
expect repair_nothing 0 "0 shards rebuilt" repair "$work/hurt" -c "$yaml"
expect repair_no_store 3 "is no store" repair "$work/demo" -c "$yaml"
must show "$work/hurt" -c "$yaml" --export "$work/hurt.csv"
same repair_catalogue "$work/one.csv" "$work/hurt.csv"

exit $((n_bad > 0))
