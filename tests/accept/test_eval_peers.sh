#!/bin/bash
# Every statistic of eval/ beside R (pROC, survival, stats, riskRegression and boot where they are
# installed) and scikit-learn, on random data sets: ties, weights, few cancers, degenerate, repeated
# exams, 100,000 exams. Definitions that no package has are computed again pair by pair in eval_peers.R. Prints the
# largest deviation of every metric and fails above 1e-9 (relative). Skips where R's packages or
# scikit-learn are missing: apt-get install r-cran-proc r-cran-survival r-cran-boot python3-sklearn.
# WORK=DIR keeps the files.
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
here=$top/tests/accept
place=${WORK:-$work}
if ! command -v Rscript >/dev/null ||
    ! Rscript -e 'library(pROC); library(survival)' >/dev/null 2>&1; then
    skip eval_peers "R with r-cran-proc and r-cran-survival is not installed"
    exit 0
fi
if ! "$here/eval_peers.py" --check 2>/dev/null; then
    skip eval_peers "python3-sklearn is not installed"
    exit 0
fi
for program in eval_probe eval_sets; do
    if ! make -s -C "$top" BUILD="$BUILD" "$BUILD/tests/accept/$program" >"$work/make" 2>&1; then
        tail -n 20 "$work/make"
        bad "$program" "does not build"
        exit 1
    fi
done
probe=$BUILD/tests/accept/eval_probe

# compare NAME OURS PEER...: prints the table, ok or not
compare() {
    local name=$1
    if "$here/eval_peers.py" --compare "${@:2}" >"$place/$name"; then ok "$name"; else
        bad "$name" "$(tail -n 1 "$place/$name")"
    fi
    sed 's/^/    /' "$place/$name"
}

mkdir -p "$place/sets" "$place/asah"
check sets "the data sets could not be written" "$BUILD/tests/accept/eval_sets" "$place/sets"
check peer_numbers "R failed" \
    bash -c "Rscript '$here/eval_peers.R' numbers >'$place/numbers.R'"
"$probe" numbers >"$place/numbers.ours"
compare numbers "$place/numbers.ours" "$place/numbers.R"

check peer_asah "R failed" \
    bash -c "Rscript '$here/eval_peers.R' asah '$place/asah' >'$place/asah.R'"
"$probe" pairs "$place"/asah/asah_*.csv >"$place/asah.ours"
compare G34_G35_G36 "$place/asah.ours" "$place/asah.R"

# the large sets by themselves, so that the table shows what size does
for kind in small large; do
    mapfile -t files < <(find "$place/sets" -name '*.csv' | sort)
    chosen=()
    for f in "${files[@]}"; do
        case $f in */large*) is=large ;; *) is=small ;; esac
        [ "$is" = "$kind" ] && chosen+=("$f")
    done
    export DRAWS=$place/$kind.draws # what was drawn by the bootstrap: R draws nothing itself
    rm -f "$DRAWS"
    "$probe" eval "${chosen[@]}" >"$place/$kind.ours" || bad "$kind" "the probe failed"
    if ! Rscript "$here/eval_peers.R" sets "${chosen[@]}" >"$place/$kind.R" 2>"$work/err"; then
        bad "peer_${kind}_R" "$(tail -n 1 "$work/err")"
    fi
    if ! "$here/eval_peers.py" "${chosen[@]}" >"$place/$kind.py" 2>"$work/err"; then
        bad "peer_${kind}_py" "$(tail -n 1 "$work/err")"
    fi
    echo "${#chosen[@]} $kind data sets"
    compare "$kind" "$place/$kind.ours" "$place/$kind.R" "$place/$kind.py"
done
exit $((n_bad > 0))
