#!/bin/bash
# kill -9 at 20 seeded points each of prepare and of train, then the same command again: the final
# bytes must be those of an undisturbed run. Prints every point. Half of the points are passages
# chosen by the program's test hook (core/kill.h), at least 3 inside a shard or checkpoint commit;
# the other half are moments chosen by the clock, where nothing helps the program. SEED=N.
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
yaml=$top/tests/golden/corridor.yaml
demo=$work/demo
seed=${SEED:-1}
RANDOM=$seed

must demo-archive "$demo" --patients 24 --seed 11 -q
must scan "$demo/archive" -o "$work/fresh" -q
cp -a "$work/fresh" "$work/store"
t0=${EPOCHREALTIME/./}
must prepare "$work/store" -c "$yaml" -q
prepare_us=$((${EPOCHREALTIME/./} - t0))
must show "$work/store" -c "$yaml" --export "$work/catalog.csv"
must split "$work/store" --labels "$demo/clinical.csv" -c "$yaml" -o "$work/cohort.h5" -q
train=(train -c "$yaml" --set train.epochs=3 --set "run.cohort=$work/cohort.h5" -q)
t0=${EPOCHREALTIME/./}
must "${train[@]}" -o "$work/run"
train_us=$((${EPOCHREALTIME/./} - t0))
images=$(find "$work/store/prep" -name '[0-9]*.h5' | wc -l)
steps=$(sed -n 's/.*"step": *\([0-9]*\).*/\1/p' "$work/run/metrics.jsonl" | tail -n 1)
kept=$(sed -n 's/.*"kept": *\([0-9]*\).*/\1/p' "$work/store/flow.json")
rows=$(($(wc -l <"$work/catalog.csv") - 1))
echo "seed $seed: $kept images in $images shard files, $rows rows, $steps steps"

# at_point POINT WORDS... / at_time SECONDS WORDS...: true if the program died by SIGKILL
at_point() {
    local point=$1
    shift
    (
        MAMMOVIT_TEST_KILL=$point "$mammovit" "$@" </dev/null
        exit $?
    ) >/dev/null 2>&1
    [ $? -eq 137 ]
}
at_time() {
    local t=$1
    shift
    (
        timeout -s KILL "$t" "$mammovit" "$@" </dev/null
        exit $?
    ) >/dev/null 2>&1
    [ $? -eq 137 ]
}
# seconds MICROSECONDS: a moment between 10 % and 90 % of them
seconds() {
    awk -v us="$1" -v r="$RANDOM" 'BEGIN {printf "%.3f", us / 1e6 * (0.1 + 0.8 * r / 32768)}'
}
pick() { echo $((1 + (RANDOM * 32768 + RANDOM) % $1)); }

after_prepare() {
    must prepare "$work/again" -c "$yaml" -q
    must show "$work/again" -c "$yaml" --export "$work/again.csv"
    same "$1" "$work/store/prep" "$work/again/prep"
    cmp -s "$work/catalog.csv" "$work/again.csv" || bad "$1_catalog" "another catalogue"
    for f in flow.json exclusions.csv; do
        cmp -s "$work/store/$f" "$work/again/$f" || bad "$1_$f" "the bytes differ"
    done
}
shards=$((images / 2)) # of each size
points=()
for _ in 1 2 3; do points+=("prepare_mid_shard:$(pick "$kept")"); done
for _ in 1 2; do points+=("prepare_before_shard:$(pick "$images")" "prepare_after_shard:$(pick "$images")"); done
points+=("prepare_before_db:$(pick "$shards")" "prepare_in_db:$(pick "$rows")" "prepare_after_db:$(pick "$shards")")
while [ ${#points[@]} -lt 20 ]; do points+=("time:$(seconds "$prepare_us")"); done
for p in "${points[@]}"; do
    echo "prepare killed at $p"
    rm -rf "$work/again"
    cp -a "$work/fresh" "$work/again"
    case $p in
    time:*) at_time "${p#time:}" prepare "$work/again" -c "$yaml" -q || echo "  it had finished" ;;
    *) at_point "$p" prepare "$work/again" -c "$yaml" -q || bad "prepare_$p" "was not reached" ;;
    esac
    after_prepare "prepare_$p"
done

saves=$((steps / 2))
points=()
for _ in 1 2 3 4; do points+=("train_step:$(pick "$steps")" "ckpt_inside:$(pick $((3 * saves)))"); done
points+=("ckpt_before:$(pick "$saves")" "ckpt_after:$(pick $((2 * saves)))")
while [ ${#points[@]} -lt 20 ]; do points+=("time:$(seconds "$train_us")"); done
for p in "${points[@]}"; do
    echo "train killed at $p"
    rm -rf "$work/run2"
    case $p in
    time:*) at_time "${p#time:}" "${train[@]}" -o "$work/run2" || echo "  it had finished" ;;
    *) at_point "$p" "${train[@]}" -o "$work/run2" || bad "train_$p" "was not reached" ;;
    esac
    must "${train[@]}" -o "$work/run2"
    same "train_$p" "$work/run" "$work/run2"
done

# a run that is killed again and again still arrives
rm -rf "$work/run2"
n=0
while at_time "$(seconds "$((train_us / 2))")" "${train[@]}" -o "$work/run2" && [ $n -lt 40 ]; do
    n=$((n + 1))
done
must "${train[@]}" -o "$work/run2"
echo "train killed $n times in a row"
same train_many "$work/run" "$work/run2"
exit $((n_bad > 0))
