#!/bin/bash
# Several processes under mpirun train as one, with the program itself on a small cohort: the RUN
# folder has the bytes of one process; the others are silent; an error is said once; verbs that work
# as one process say so.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
yaml=$top/tests/golden/corridor.yaml

if ! command -v mpirun >/dev/null; then
    skip ranks "no mpirun here (package openmpi-bin)"
    exit 0
fi
if [ -n "${SAN:-}" ]; then
    skip ranks "Open MPI itself is not clean under a sanitizer"
    exit 0
fi

# together N WORDS...: the program as N processes; what they say is in $work/out
together() {
    local n=$1
    shift
    timeout 120 mpirun --oversubscribe --allow-run-as-root --mca btl self,vader -n "$n" \
        "$mammovit" "$@" >"$work/out" 2>&1 </dev/null
}

must demo-archive "$work/demo" --patients 30 --seed 5 -q
must scan "$work/demo/archive" -o "$work/store" -q
must prepare "$work/store" -c "$yaml" -q
must split "$work/store" --labels "$work/demo/clinical.csv" -c "$yaml" -o "$work/cohort.h5" -q
recipe=(-c "$yaml" --set "run.cohort=$work/cohort.h5" --set train.batch=4 --set train.accum=4)
must train "${recipe[@]}" -o "$work/alone" -q

for n in 2 4; do
    if together "$n" train "${recipe[@]}" -o "$work/run$n"; then
        same "ranks_${n}_bytes" "$work/alone" "$work/run$n"
    else
        bad "ranks_${n}_bytes" "mpirun failed"
        tail -n 20 "$work/out" | sed 's/^/    /'
    fi
    epochs=$(grep -c '^info epoch ' "$work/out")
    if [ "$epochs" = 2 ] && [ "$(grep -c '^next: mammovit predict ' "$work/out")" = 1 ]; then
        ok "ranks_${n}_one_speaks"
    else
        bad "ranks_${n}_one_speaks" "the output has $epochs lines of 2 epochs"
    fi
done

# said NAME STATUS TEXT N WORDS...: this status, and this text once
said() {
    local name=$1 status=$2 text=$3 n=$4 got times
    shift 4
    together "$n" "$@"
    got=$?
    times=$(grep -cF -- "$text" "$work/out")
    if [ "$got" = "$status" ] && [ "$times" = 1 ]; then ok "$name"; else
        bad "$name" "exit status $got, wanted $status; '$text' is said $times times"
        tail -n 20 "$work/out" | sed 's/^/    /'
    fi
}
said ranks_usage 2 "unknown option '--nope'" 3 train --nope
said ranks_config 3 "5 processes share the micro-batches of a step, and train.accum is 4" 5 \
    train "${recipe[@]}" -o "$work/never"
said ranks_dry_run 0 "multiply-adds per image" 2 train "${recipe[@]}" -o "$work/never" --dry-run
if [ -e "$work/never" ]; then bad ranks_leave_nothing "a folder was made"; else ok ranks_leave_nothing; fi
said ranks_card 3 "device cuda:1 is one card, and 2 processes on this machine want one each" 2 \
    train "${recipe[@]}" -o "$work/never" --device cuda:1
together 2 run -c "$yaml" && bad ranks_run "run works under mpirun"
if grep -qF "started as 2 processes, and run works as one" "$work/out"; then ok ranks_run; else
    bad ranks_run "the output is $(head -c 300 "$work/out")"
fi

said ranks_bench 0 "over 3 processes on" 3 bench sum --device cpu --model deit_tiny_patch16_224
if grep -qF "largest error 0" "$work/out"; then ok ranks_bench_sums; else bad ranks_bench_sums "wrong sums"; fi

# the card's way, on the emulator and with the stand-in for NCCL: a group of one
if [ -x "$BUILD/shim/mammovit" ] && [ -e "$BUILD/shim/nccl/libnccl.so.2" ]; then
    for p in f32 bf16; do
        MAMMOVIT_CUDA_LIBS=$BUILD/shim/nccl "$BUILD/shim/mammovit" bench sum --device cuda --model deit_tiny_patch16_224 \
            --set train.reduce=$p >"$work/out" 2>&1 </dev/null
        if grep -q " as $p over 1 process on .* (emulated: no figure of a card)" "$work/out"; then ok "ranks_nccl_$p"; else
            bad "ranks_nccl_$p" "$(tail -n 1 "$work/out")"
        fi
    done
    small=("${recipe[@]}" --set train.epochs=1 --set model.depth=1 --set train.size=1 --set train.batch=2 --set train.accum=3)
    MAMMOVIT_CUDA_LIBS=$BUILD/shim/nccl MAMMOVIT_TEST_GROUP=1 \
        "$BUILD/shim/mammovit" train "${small[@]}" --device cuda -o "$work/group" -q >"$work/out" 2>&1 </dev/null ||
        tail -n 5 "$work/out" | sed 's/^/    /'
    "$BUILD/shim/mammovit" train "${small[@]}" --device cuda -o "$work/single" -q >"$work/out" 2>&1 </dev/null
    same ranks_nccl_trains "$work/group" "$work/single"
else
    skip ranks_nccl "the program on the emulator is not built"
fi

# opened at run time only
if ldd "$mammovit" | grep -q 'libmpi\.so'; then
    bad ranks_not_linked "the program is linked with Open MPI"
else ok ranks_not_linked; fi
[ "$n_bad" -eq 0 ]
