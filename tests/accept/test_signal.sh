#!/bin/bash
# The demo archive's risk signal is local texture: the demo's network finds it, and what cannot see
# fine texture does not. Per seed, an archive twice the demo's size and the demo's own configuration:
# the lower end of the test AUC's interval lies above 0.65; a logistic model on age and ten global
# image statistics, a linear probe on the untrained network's features and the same network at half
# the resolution stay below 0.65 (and above 0.35: a score turned round counts as much).
# SEEDS="1 2 3" PATIENTS=600 LIMIT=0.65 WORK=DIR (kept, so that a second call continues).
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
yaml=$top/configs/demo.yaml
seeds=${SEEDS:-1 2 3}
patients=${PATIENTS:-600}
limit=${LIMIT:-0.65}
min_exams=200
place=${WORK:-$work}
probe=$BUILD/tests/accept/signal_probe

if ! make -s -C "$top" BUILD="$BUILD" "$probe" >"$work/make" 2>&1; then
    tail -n 20 "$work/make"
    bad signal_probe "does not build"
    exit 1
fi

# value KEY FILE: the text of a scalar under `prepare:` in the demo's configuration
value() { sed -n -E "s/^  $1: *\[?([^]#]*[^]# ])\]?.*/\1/p" "$2" | head -n 1; }
sizes=$(value sizes "$yaml")
mm=$(value mm "$yaml")
half_size=$((${sizes%x*} / 2))x$((${sizes#*x} / 2))
half_mm=$(awk -v mm="$mm" 'BEGIN {print 2 * mm}')
echo "demo: $sizes pixels of $mm mm; half the resolution: $half_size of $half_mm mm"

# over A B, below A B: decimal comparison; a number that is none is neither
over() { awk -v a="$1" -v b="$2" 'BEGIN {exit !(a ~ /^[0-9.]+$/ && a + 0 > b)}'; }
below() { awk -v a="$1" -v b="$2" 'BEGIN {exit !(a ~ /^[0-9.]+$/ && a + 0 < b && a + 0 > 1 - b)}'; }
# field KEY: from the last line of $work/head, the headline as JSON
field() { tail -n 1 "$work/head" | sed -n -E "s/.*\"$1\": *([^,}]*)[,}].*/\1/p"; }

# corridor DIR SEED DATA WORDS...: the demo's corridor; its headline lands in $work/head
corridor() {
    local dir=$1 seed=$2 data=$3
    shift 3
    "$mammovit" run -c "$yaml" --set "run.archive=$data/archive" \
        --set "run.labels=$data/clinical.csv" --set "run.dir=$dir" --seed "$seed" --json -q \
        "$@" >"$work/head" 2>"$work/err" </dev/null && return 0
    tail -n 20 "$work/err" | sed 's/^/    /'
    return 1
}

# one_seed SEED: stops at the first step that fails, because nothing after it means anything
one_seed() {
    local seed=$1 dir=$place/seed$1 auc lo hi n cases name rest t0=$SECONDS
    local data=$dir/data
    mkdir -p "$dir"
    if [ ! -e "$dir/archive.done" ]; then
        "$mammovit" demo-archive "$data" --patients "$patients" --seed "$seed" --force -q \
            >"$work/out" 2>&1 || { bad "seed${seed}_archive" "$(tail -n 1 "$work/out")"; return; }
        touch "$dir/archive.done"
    fi
    # a key that is known makes the pseudonyms, and with them the division of the women, the same
    # in every campaign; both resolutions share the scan
    if [ ! -e "$dir/full/store/key" ]; then
        mkdir -p "$dir/full/store"
        (umask 077 && printf '%032d' "$seed" >"$dir/full/store/key")
    fi
    if ! corridor "$dir/full" "$seed" "$data" --to scan; then
        bad "seed${seed}_scan" "failed"
        return
    fi
    [ -e "$dir/half" ] || cp -a "$dir/full" "$dir/half"

    if ! corridor "$dir/full" "$seed" "$data"; then
        bad "seed${seed}_network" "the corridor failed"
        return
    fi
    auc=$(field auc) lo=$(field lo) hi=$(field hi) n=$(field n_exams) cases=$(field n_events)
    echo "seed $seed: network $auc ($lo to $hi), $n test exams, $cases with cancer," \
        "$((SECONDS - t0)) s"
    if [ "${n:-0}" -ge $min_exams ]; then ok "seed${seed}_exams"; else
        bad "seed${seed}_exams" "$n test exams, at least $min_exams are wanted"
    fi
    if over "$lo" "$limit"; then ok "seed${seed}_network"; else
        bad "seed${seed}_network" "the interval of $auc begins at $lo, wanted above $limit"
    fi

    if ! "$probe" "$dir/full/cohort.h5" "$yaml" "$seed" >"$work/probe" 2>"$work/err" ||
        [ "$(wc -l <"$work/probe")" -ne 4 ]; then
        bad "seed${seed}_probe" "$(tail -n 1 "$work/err")"
        return
    fi
    while read -r name auc lo hi rest; do
        echo "seed $seed: $name $auc ($lo to $hi), $rest"
        if below "$auc" "$limit"; then ok "seed${seed}_$name"; else
            bad "seed${seed}_$name" "AUC $auc, wanted below $limit"
        fi
    done <"$work/probe"

    if ! corridor "$dir/half" "$seed" "$data" --set "prepare.sizes=$half_size" \
        --set "prepare.mm=$half_mm"; then
        bad "seed${seed}_half" "the corridor failed"
        return
    fi
    auc=$(field auc) lo=$(field lo) hi=$(field hi)
    echo "seed $seed: half the resolution $auc ($lo to $hi), $(field n_exams) test exams," \
        "$((SECONDS - t0)) s"
    if [ "$(field n_exams)" = "$n" ]; then ok "seed${seed}_half_exams"; else
        bad "seed${seed}_half_exams" "$(field n_exams) test exams instead of $n"
    fi
    if below "$auc" "$limit"; then ok "seed${seed}_half"; else
        bad "seed${seed}_half" "AUC $auc, wanted below $limit"
    fi
    [ -n "${WORK:-}" ] || rm -rf "$dir"
}

for seed in $seeds; do
    one_seed "$seed"
done
exit $((n_bad > 0))
