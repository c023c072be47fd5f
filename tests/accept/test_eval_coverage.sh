#!/bin/bash
# Does the 95 % interval of the AUC hold the truth in 93 to 97 of 100 cohorts? A grid of true AUC and
# number of cancers, 1 to 5 exams per patient; cells outside are named. Beside it the interval that
# ignores repeated exams. The model that draws the cohorts: eval_coverage.c.
# COHORTS=2000 per cell, CONTROLS=20 per cancer, SEED=1. docs/evaluation.md holds a run.
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
program=$BUILD/tests/accept/eval_coverage
cohorts=${COHORTS:-2000}
controls=${CONTROLS:-20}

if ! make -s -C "$top" BUILD="$BUILD" "$program" >"$work/make" 2>&1; then
    tail -n 20 "$work/make"
    bad eval_coverage "does not build"
    exit 1
fi
if ! "$program" "$cohorts" "$controls" "${SEED:-1}" >"$work/cells"; then
    bad eval_coverage "the simulation failed"
    exit 1
fi

echo "$cohorts cohorts per cell, $controls controls per cancer"
echo "| AUC | cancers | exams | patients | headline | plain DeLong | width | DeLong's | mean AUC |"
echo "|---|---|---|---|---|---|---|---|---|"
awk -F '\t' '{printf "| %s | %d | %d | %d | %.1f %% | %.1f %% | %.3f | %.3f | %.4f |\n",
              $1, $2, $3, $4, 100 * $5, 100 * $6, $7, $8, $9}' "$work/cells"
[ "$(wc -l <"$work/cells")" -eq 9 ] || bad eval_coverage "the grid has not nine cells"

while IFS=$'\t' read -r auc cancers exams patients held _ _ _ mean undefined; do
    name=coverage_${auc}_$cancers
    if [ "$undefined" -gt 0 ]; then
        bad "$name" "$undefined cohorts have no interval"
    elif awk -v m="$mean" -v a="$auc" 'BEGIN {d = m - a; exit !(d > 0.01 || d < -0.01)}'; then
        bad "$name" "the mean AUC is $mean: the cohorts are not what they should be"
    elif awk -v h="$held" 'BEGIN {exit !(h < 0.93 || h > 0.97)}'; then
        bad "$name" "the interval holds the truth in $held of cohorts of $exams exams, $patients patients"
    else
        ok "$name"
    fi
done <"$work/cells"
exit $((n_bad > 0))
