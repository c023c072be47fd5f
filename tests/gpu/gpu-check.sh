#!/bin/bash
# gpu-check.sh: is the CUDA backend right on this card, and how fast is it? Runs from the bundle that
# `make gpu-bundle` makes: no make, no network; wanted are bash, coreutils, sed, awk, tar, gzip, a driver, and
# CUDA 13 with cuDNN 9 as a toolkit or as Python wheels. Correctness comes first; every part has a share of
# the time and what does not fit is named as not run. No figure is printed that was not measured here.
# The result is one JSON file and one table (docs/gpu-results.schema.json).
# Exit status: 0 all that is about correctness ran and passed; 1 something failed or did not run; 2 usage;
# 3 no card, or the bundle is damaged.
set -u
export LC_ALL=C
umask 022

usage() {
    sed -n 's/^    //p' <<'TEXT'
    usage: gpu-check.sh [options]
      --list           print the parts with their shares of the time; run nothing
      --shim           the parts about correctness through the emulator, on the CPU; no card is needed
      --only A,B       these parts
      --seconds N      for everything (540; --shim 600, it takes about 100 of one core)
      --out DIR        where the results go (results beside this script)
      --device D       cuda, cuda:1
      --libs DIR       NVIDIA's libraries, besides the toolkit and the wheels that are found
      --python P       a Python with torch and timm, to compare with (python3)
TEXT
}

# In the order of their worth: name, share of the time in seconds, most (with what parts before it left over),
# kind (c correctness: must pass; f figures), runs through the emulator, what. The shares leave 20 of 540
# seconds for the bundle itself.
parts='
start       15  60 c y what this machine is; the bundle is whole; the program starts
ops         50  90 c y every op against the CPU backend: random and odd inputs, guarded buffers, float32 and bf16
nets        30  60 c y networks against the CPU backend: logits, loss, gradients, steps of training, equal bytes
pytorch     35  60 c y networks against numbers recorded from PyTorch
parity      40  90 c y networks against PyTorch and timm in this run, beside the error of its autocast; planted faults
curves      40  60 c y 200 steps of training, CPU float32 and card bf16; a planted fault must be noticed
train       35  60 c n the cohort of the bundle, card and CPU: losses of each epoch
same        20  40 c n two runs have the same bytes
memcheck    35  60 c n a step under compute-sanitizer memcheck
racecheck   35  60 c n a step under compute-sanitizer racecheck
nccl        20  40 c n gradients through NCCL in a group of one, and a training
ceilings    35  60 f n largest product, copy, attention, products
steps       65 120 f n training steps: images/s, TFLOP/s, memory, time by class of op
torch       45 180 f n the same steps by PyTorch and timm: eager AMP, torch.compile
memory      20 120 f n memory of the paper'"'"'s table 1; saved activations; largest batch at 896, 2304, 4096 px
'

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd) || exit 3
shim=0 list=0 only="" seconds="" out=$here/results device=cuda libs="" python=python3
while [ $# -gt 0 ]; do
    case $1 in
    --list) list=1 ;;
    --shim) shim=1 ;;
    --only | --seconds | --out | --device | --libs | --python)
        [ $# -ge 2 ] || { usage >&2 && exit 2; }
        case $1 in
        --only) only=$2 ;; --seconds) seconds=$2 ;; --out) out=$2 ;; --device) device=$2 ;;
        --libs) libs=$2 ;; --python) python=$2 ;;
        esac
        shift
        ;;
    -h | --help) usage && exit 0 ;;
    *)
        echo "gpu-check: unknown option '$1'" >&2
        usage >&2
        exit 2
        ;;
    esac
    shift
done
[ -n "$seconds" ] || seconds=$([ $shim = 1 ] && echo 600 || echo 540)
case $seconds in '' | *[!0-9]*) echo "gpu-check: --seconds '$seconds': wanted a number" >&2 && exit 2 ;; esac

rows() { sed '/^$/d' <<<"$parts"; }
if [ $list = 1 ]; then
    echo "gpu-check: parts in their order: share of $seconds seconds, at most with what is left over"
    rows | while read -r name share most kind emulated what; do
        printf '  %-10s %4d s %4d s  %s%s\n' "$name" "$share" "$most" "$what" \
            "$([ "$kind" = c ] && { [ "$emulated" = y ] && echo ' [correctness; --shim]' || echo ' [correctness]'; })"
    done
    exit 0
fi
for p in ${only//,/ }; do
    rows | grep -q "^$p " || { echo "gpu-check: no part '$p'; see --list" >&2 && exit 2; }
done

# ---- the bundle ------------------------------------------------------------------------------------
root=$(mktemp -d) || exit 3
trap 'rm -rf "$root"' EXIT
began=$SECONDS
damaged() {
    echo "gpu-check: the bundle is damaged: $1" >&2
    exit 3
}
unpack() {
    local xz=xz part
    mkdir -p "$root/boot" "$root/payload" "$root/system" || exit 3
    tar -xzf "$here/boot.tar.gz" -C "$root/boot" || damaged "boot.tar.gz"
    command -v xz >/dev/null ||
        xz="$root/boot/ld-linux-x86-64.so.2 --library-path $root/boot $root/boot/xz"
    # shellcheck disable=SC2086 # a command of several words
    for part in payload system; do
        $xz -dc "$here/$part.tar.xz" | tar -xf - -C "$root/$part" || damaged "$part.tar.xz"
    done
    (cd "$root" && grep -E '  (payload|system)/' "$here/MANIFEST" | sha256sum -c --quiet -) || damaged "files differ from MANIFEST"
    (cd "$here" && grep '  \./' MANIFEST | sha256sum -c --quiet -) || damaged "files differ from MANIFEST"
}
case $out in /*) ;; *) out=$PWD/$out ;; esac
[ -s "$here/MANIFEST" ] || damaged "MANIFEST is missing"
unpack
pay=$root/payload
cd "$pay" || exit 3
about=$(sed -n '1s/^# //p' "$here/MANIFEST")
commit=$(awk 'NR == 1 { print substr($4, 1, length($4) - 1) }' "$here/MANIFEST")

# NVIDIA's libraries: the toolkit's, or those of Python wheels. For our processes alone: in torch's they would
# take the place of its own.
cuda_libs=$libs
for d in /usr/local/cuda/lib64 /usr/local/cuda-13*/lib64 /usr/local/cuda-13*/lib /usr/lib/x86_64-linux-gnu; do
    compgen -G "$d/libcublasLt.so.13" >/dev/null || compgen -G "$d/libcudnn.so.9" >/dev/null && cuda_libs=$cuda_libs:$d
done
if command -v "$python" >/dev/null; then
    cuda_libs=$cuda_libs:$("$python" -c '
import glob, site, sys
print(":".join(d for s in dict.fromkeys(sys.path + site.getsitepackages()) for d in glob.glob(s + "/nvidia/*/lib")))' 2>/dev/null)
fi
cuda_libs=${cuda_libs#:} cuda_libs=${cuda_libs%:}
# The machine's own folders come last: there are machines that name the driver's there alone. An empty element
# would be the working folder.
theirs=${LD_LIBRARY_PATH:-}
for d in /usr/local/nvidia/lib64 /usr/lib/wsl/lib; do
    if [ -e "$d/libcuda.so.1" ]; then theirs=$theirs:$d; fi
done
system=$(printf '%s' "${cuda_libs//\/usr\/lib\/x86_64-linux-gnu/}:$theirs" | tr -s : | sed 's/^://; s/:$//')

own_libc=0
# ours PROGRAM WORDS...: a program of the bundle; through its own C library where the machine's is too old
ours() {
    local lib=$pay/lib:$root/system program=$1
    shift
    local -x XDG_CACHE_HOME=$root/cache # choices and plans are those of this check
    [ $shim = 1 ] && lib=$pay/shim:$lib
    if [ $own_libc = 1 ]; then
        "$root/boot/ld-linux-x86-64.so.2" --library-path "$lib:$root/boot${system:+:$system}" "$program" "$@"
    else
        LD_LIBRARY_PATH=$lib${system:+:$system} "$program" "$@"
    fi
}
mammovit() { ours "$pay/bin/mammovit" "$@"; }

# ---- parts -----------------------------------------------------------------------------------------
# within SECONDS COMMAND...: a function or program under a limit of time; 124 = it took too long
within() {
    local limit=$1 pid rc watch
    shift
    ("$@") &
    pid=$!
    (
        sleep "$limit" 2>/dev/null
        kill -TERM -- -$pid
        sleep 3
        kill -KILL -- -$pid
    ) >/dev/null 2>&1 &
    watch=$!
    { wait $pid; } 2>/dev/null # bash says what it thinks of ended jobs
    rc=$?
    { kill -- -$watch; wait $watch; } 2>/dev/null
    [ $rc -eq 143 ] || [ $rc -eq 137 ] && rc=124
    return $rc
}
left() { echo $((seconds - SECONDS + began)); }
wanted() { case ",$only," in ,, | *",$1,"*) ;; *) [ "$1" = start ] ;; esac }
# budget PART: seconds for it now: its share, and more where parts before it left some over; never those of
# the parts behind it. 0: less than half of its share is left.
budget() {
    local name share most rest own=0 top=0 behind=0 time
    [ $shim = 1 ] && left && return # the shares are a card's
    while read -r name share most rest; do
        wanted "$name" || continue
        [ "$name" = "$1" ] && own=$share top=$most
        [ "$own" -gt 0 ] && behind=$((behind + share))
    done <"$root/rows"
    time=$((own + $(left) - behind))
    [ "$time" -lt "$own" ] && time=$own
    [ "$time" -gt "$top" ] && time=$top
    [ "$time" -gt "$(left)" ] && time=$(left)
    [ $((2 * time)) -lt "$own" ] && time=0
    echo "$time"
}
# enough SECONDS WHAT: is there so much of the part's time for one more measurement? If not, it is named.
enough() {
    [ $((part_end - SECONDS)) -ge "$1" ] && return
    printf '%s%s' "$([ -s "$root/why" ] && echo ', ' || echo 'no time left for ')" "$2" >>"$root/why"
    return 1
}
not_run() { # REASON: ends a part
    echo "$1" >"$root/why"
    return 77
}
# fact KEY JSON: one member of the part's object in the result
fact() { printf '%s\n' "\"$1\": $2" >>"$root/facts"; }
quote() { printf '"%s"' "$(printf '%s' "$1" | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g')"; }
value() { sed -nE "s/.*\"$2\": ?(\"([^\"]*)\"|([-+0-9.eE]+|true|false)).*/\2\3/p" "$1" | head -n 1; } # FILE KEY

smi() { command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu="$1" --format=csv,noheader 2>/dev/null | head -n 1; }

part_start() {
    if ! mammovit --version >"$root/version" 2>&1; then
        own_libc=1
        mammovit --version >"$root/version" 2>&1 || {
            cat "$root/version"
            return 1
        }
    fi
    cat "$root/version"
    echo "own_libc=$own_libc" >"$root/state"
    fact own_c_library "$([ $own_libc = 1 ] && echo true || echo false)"
    fact libraries "$(quote "$cuda_libs")"
    fact driver "$(quote "$(smi driver_version)")"
    fact clocks "$(quote "$(smi clocks.sm,clocks.mem,temperature.gpu,power.draw,memory.total)")"
    fact processor "$(quote "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo 2>/dev/null | head -n 1)")"
    fact cores "$(nproc)"
    mammovit bench step --device "$device" --model vit_tiny_patch16_224 --set model.depth=1 --image-size 32 --batch 2 \
        --steps 1 --warmup 0 --ceiling 1 --set train.precision=bf16 --json >"$root/first" 2>"$root/first.log" || {
        tail -n 3 "$root/first.log"
        return 1
    }
    if grep attention_slow "$root/first.log"; then # nothing behind it could keep its time
        return 1
    fi
    fact card "$(quote "$(value "$root/first" title)")"
    [ "$(value "$root/first" emulated)" = "$([ $shim = 1 ] && echo true || echo false)" ]
}

# one_test NAME WORDS...: a test program; its line of counts and its own messages are kept
one_test() {
    local name=$1 rc
    shift
    DEVICE=$device ours "$pay/tests/bin/$name" "$@" >"$root/test" 2>&1
    rc=$?
    grep -vE '^\[ +(RUN|OK) +\]|^warn |^\[=+\]' "$root/test"
    tests_run=$((tests_run + $(sed -nE 's/^\[ +PASSED +\] ([0-9]+) test.*/\1/p' "$root/test" | awk '{ s += $1 } END { print s + 0 }')))
    [ $rc -eq 0 ]
}
tests_of() {
    local bad=0 t
    tests_run=0
    for t in "$@"; do one_test "$t" || { bad=1 && echo "failed: $t"; }; done
    fact passed $tests_run
    [ $bad -eq 0 ] && [ $tests_run -gt 0 ]
}
part_ops() { tests_of test_cuda_op test_cuda_gelu test_cuda_ends test_model_map test_model_match test_model_patch test_model_step; }
part_nets() {
    if [ $shim = 1 ]; then # the emulator is slow
        tests_of test_cuda_net
    else
        tests_of test_cuda_net test_cuda_step test_model_pit test_model_recompute test_model_rollout test_model_laps
    fi
}
part_pytorch() {
    local c bad=0
    tests_run=0
    if [ $shim = 1 ]; then # the emulator is slow
        for c in rect_keep50 vit_reg4; do one_test test_model_fixture $c || bad=1; done
    else
        one_test test_model_fixture || bad=1
    fi
    fact passed $tests_run
    [ $bad -eq 0 ] && [ $tests_run -gt 0 ]
}
part_curves() {
    tests_run=0
    one_test test_cuda_curves || return 1
    fact curves "[$(sed -nE 's/^curve: step +([0-9]+) cpu ([0-9.]+) cuda ([0-9.]+) planted ([0-9.]+)$/[\1, \2, \3, \4]/p' "$root/test" | paste -sd, -)]"
    fact verdicts "[$(grep -E '^CPU f32' "$root/test" | while read -r line; do quote "$line" && echo; done | paste -sd, -)]"
}

has_torch() { "$python" -c 'import torch, timm' 2>/dev/null || not_run "$python has no torch and timm"; }
# parity MODEL DEPTH PX KEEP BATCH: a folder of ours, judged by a process of PyTorch's that sees none of our libraries
parity() {
    local made=$root/parity rc
    rm -rf "$made" && mkdir "$made"
    DEVICE=$device ours "$pay/tests/bin/parity" "$made" "$@" 20 >"$root/test" 2>&1 || {
        tail -n 3 "$root/test"
        return 1
    }
    echo "$1 of $2 blocks, $3 px keep $4, batch $5"
    "$python" "$here/parity.py" "$made" --model "$1" --depth "$2" --device "$([ $shim = 1 ] && echo cpu || echo "$device")" \
        --out "$root/parity.json"
    rc=$?
    [ -s "$root/parity.json" ] && add parity "$root/parity.json" && rm "$root/parity.json"
    rm -rf "$made"
    return $rc
}
part_parity() {
    has_torch || return
    if [ $shim = 1 ]; then # the emulator is slow
        parity deit_tiny_patch16_224 2 112 0.5 2
        return
    fi
    parity deit_small_patch16_224 12 224 1 8 || return 1
    enough 15 "785 tokens" || return 0
    parity deit_small_patch16_224 12 896 0.25 8
}

# losses RUN: train_loss of each epoch
losses() { sed -nE 's/.*"train_loss": ?([-+0-9.eE]+).*/\1/p' "$1/metrics.jsonl"; }
train_on() { # DEVICE PRECISION NAME WORDS...
    local d=$1 p=$2 name=$3
    shift 3
    mammovit train -q -c cohort/train.yaml --set run.cohort=cohort/cohort.h5 --device "$d" --set "train.precision=$p" \
        -o "$root/$name" "$@" >"$root/$name.log" 2>&1 || {
        tail -n 3 "$root/$name.log"
        return 1
    }
}
part_train() {
    local p bad=0
    train_on cpu f32 cpu_f32 || return 1
    for p in f32 bf16; do
        train_on "$device" $p "card_$p" || return 1
        losses "$root/cpu_f32" >"$root/losses_a"
        losses "$root/card_$p" >"$root/losses_b"
        paste "$root/losses_a" "$root/losses_b" | awk -v what="$p" -v most="$([ $p = f32 ] && echo 0.005 || echo 0.02)" '
            { d = $1 > $2 ? $1 - $2 : $2 - $1; if (!(d <= most * $1) || NF != 2) bad = 1; printf "epoch %d: cpu %s, card %s (%s)\n", NR, $1, $2, what }
            END { exit NR == 0 || bad }' || { bad=1 && echo "the losses of $p part"; }
        fact "losses_$p" "[$(losses "$root/card_$p" | paste -sd, -)]"
    done
    fact losses_cpu "[$(losses "$root/cpu_f32" | paste -sd, -)]"
    return $bad
}
same_bytes() { # NAME NAME: checkpoints of two runs
    local a b
    a=$(cd "$root/$1" && find . -name '*.safetensors' -exec sha256sum {} + | sort)
    b=$(cd "$root/$2" && find . -name '*.safetensors' -exec sha256sum {} + | sort)
    [ -n "$a" ] && [ "$a" = "$b" ]
}
part_same() {
    local extra=()
    train_on "$device" f32 same_a && train_on "$device" f32 same_b --set train.cuda_graphs=false || return 1
    same_bytes same_a same_b || { echo "two runs in float32 differ, with CUDA graphs and without" && return 1; }
    if mammovit show config | grep -q '^ *deterministic:'; then
        extra=(--set train.deterministic=true)
        train_on "$device" bf16 same_c "${extra[@]}" && train_on "$device" bf16 same_d "${extra[@]}" || return 1
        same_bytes same_c same_d || { echo "two deterministic runs in bf16 differ" && return 1; }
        fact bf16 true
    else
        fact bf16 null
        echo "float32 alone: this version has no train.deterministic"
    fi
}

sanitizer() {
    local s
    for s in "$(command -v compute-sanitizer)" /usr/local/cuda*/bin/compute-sanitizer /usr/local/cuda*/compute-sanitizer/compute-sanitizer; do
        [ -x "$s" ] && echo "$s" && return
    done
}
# Of the libraries' kernels races are reported that are none (they order by what the tool does not follow), and
# of their look for functions of newer drivers errors; our own program looks at every status. Products are not
# timed: each candidate would be instrumented.
sanitize() { # TOOL
    local tool=$1 s p words=(--report-api-errors no)
    [ "$tool" = racecheck ] && words+=(--kernel-name-exclude "kns=cublas,kns=nvjet,kns=xmma,kns=cutlass,kns=cudnn,kns=gemm,kns=splitK")
    s=$(sanitizer)
    [ -n "$s" ] || { not_run "compute-sanitizer was not found" || return; }
    [ $own_libc = 0 ] || { not_run "it cannot run over the bundle's own C library" || return; }
    for p in f32 bf16; do
        ours "$s" --tool "$tool" --error-exitcode 99 "${words[@]}" "$pay/bin/mammovit" bench step --device "$device" \
            --model vit_tiny_patch16_224 --set model.depth=2 --image-size 64 --batch 2 --steps 1 --warmup 0 --ceiling 1 \
            --set train.precision=$p --set cuda.timed=false --json >"$root/sanitizer" 2>&1 || {
            tail -n 12 "$root/sanitizer"
            return 1
        }
        grep -h 'ERROR SUMMARY\|RACECHECK SUMMARY' "$root/sanitizer"
    done
}
part_memcheck() { sanitize memcheck; }
part_racecheck() { sanitize racecheck; }
part_nccl() {
    local p
    for p in f32 bf16; do
        mammovit bench sum --device "$device" --set train.reduce=$p --json >"$root/sum_$p.json" 2>"$root/sum.log" || {
            tail -n 3 "$root/sum.log"
            grep -q 'libnccl.so.2 was not found' "$root/sum.log" || return 1
            not_run "the machine has no NCCL" || return
        }
        fact "sum_$p" "$(cat "$root/sum_$p.json")"
    done
    tests_of test_cuda_sum || return 1
    MAMMOVIT_TEST_GROUP=1 train_on "$device" f32 one_rank || return 1
    train_on "$device" f32 no_rank && same_bytes one_rank no_rank
}

bf16=(--device "$device" --set train.precision=bf16 --json)
ceiling() { [ -s "$root/ops.json" ] && value "$root/ops.json" ceiling_tflops; }
part_ceilings() {
    mammovit bench ops "${bf16[@]}" >"$root/ops.json" || return 1
    fact ops "$(cat "$root/ops.json")"
}
# step MODEL SIZE KEEP BATCH WORDS...: one line of bench step in $root/step
step() {
    local m=$1 s=$2 k=$3 b=$4 top
    shift 4
    top=$(ceiling)
    mammovit bench step --model "$m" --image-size "$s" --keep-rate "$k" --batch "$b" --set model.channels=3 "${bf16[@]}" \
        ${top:+--ceiling "$top"} "$@" >"$root/step" 2>"$root/step.log"
}
# add KEY FILE: one more element of a list among the facts; a part that is stopped keeps what it has
add() { paste -sd ' ' - <"$2" >>"$root/list.$1"; }
list_facts() {
    local f
    for f in "$root"/list.*; do
        [ -e "$f" ] && fact "${f##*/list.}" "[$(paste -sd, - <"$f")]"
    done
    rm -f "$root"/list.*
}
largest='896 2304 4096' # px at which the largest batch of DeiT-S is looked for, keep 0.25
configurations() { # gpu.md 8: model, px, keep, batch
    echo "deit_small_patch16_224 224 1 256
deit_base_patch16_224 224 1 128
deit_small_patch16_224 896 0.25 64
deit_small_patch16_224 2304 0.25 8
deit_small_patch16_224 4096 0.25 4
deit_tiny_patch16_224 224 1 64"
}
part_steps() {
    local m s k b bad=0
    configurations >"$root/configurations"
    while read -r m s k b; do
        enough 8 "$m $s px" || continue
        until step "$m" "$s" "$k" "$b" || [ "$b" -le 1 ] || ! grep -q 'memory' "$root/step.log"; do b=$((b / 2)); done
        if [ -s "$root/step" ]; then add steps "$root/step"; else bad=1 && tail -n 1 "$root/step.log"; fi
    done <"$root/configurations"
    return $bad
}
# of PatchDropout's table 1: px/keep and the paper's memory in GB, taken as 1e9 bytes, the smaller reading
table1() { echo "224/1 1.46 896/0.05 1.50 896/0.1 1.65 896/0.25 2.51 896/0.5 5.15 896/1 14.86" | xargs -n 2; }
# Without parameters, gradients, momentum and bf16 copies (14 bytes of ours, 12 of the paper's network a
# parameter) less than half? Ours is all that we ask for: the code that libraries load is not in the paper's.
judge_table1() { # KEY OF A ROW, PAPER'S GB: reads $root/step
    awk -v peak="$(value "$root/step" peak_bytes)" -v libraries="$(value "$root/step" libraries)" -v row="$1" -v paper="$2" \
        -v parameters="$(value "$root/step" parameters)" 'BEGIN {
        ours = peak - libraries - 14 * parameters; theirs = 1e9 * paper - 12 * parameters
        printf "{\"row\": \"%s\", \"paper_gb\": %s, \"ours_bytes\": %.0f, \"ours_rest\": %.0f, \"paper_rest\": %.0f, \"below_half\": %s}\n",
            row, paper, peak - libraries, ours, theirs, (ours < theirs / 2 ? "true" : "false") }' >"$root/judged"
    add table1_judged "$root/judged"
}
part_memory() {
    local k s b grown most paper last
    table1 >"$root/table1"
    while read -r k paper; do
        enough 3 "table 1 at $k" || continue
        step deit_base_patch16_224 "${k%/*}" "${k#*/}" 1 --steps 3 --warmup 2 --optimizer sgd && add table1 "$root/step" &&
            judge_table1 "$k" "$paper"
    done <"$root/table1"
    for last in false true; do # as the first row of configurations, which torch_bench.py has too
        for _ in 1 2 3; do
            enough 4 "saved activations" || continue
            step deit_small_patch16_224 224 1 256 --steps 3 --warmup 2 --set train.recompute=ln_gelu --set model.full_last=$last &&
                add saved "$root/step"
        done
    done
    for s in $largest; do
        enough 10 "the largest batch at $s px" || continue
        b=1 most=0 # doubled until it does not fit, then halfway between
        while [ "$b" -le 4096 ] && step deit_small_patch16_224 "$s" 0.25 $b --steps 2 --warmup 1 --set train.recompute=ln_gelu; do
            most=$b && b=$((2 * b))
        done
        grown=$((most / 2))
        while [ "$grown" -ge 1 ] && [ "$grown" -ge $((most / 16)) ]; do
            step deit_small_patch16_224 "$s" 0.25 $((most + grown)) --steps 2 --warmup 1 --set train.recompute=ln_gelu && most=$((most + grown))
            grown=$((grown / 2))
        done
        echo "{\"image_size\": $s, \"keep_rate\": 0.25, \"batch\": $most}" >"$root/step"
        add largest_batch "$root/step"
    done
}
part_torch() {
    has_torch || return
    {
        configurations
        for s in $largest; do echo "deit_small_patch16_224 $s 0.25 largest"; done
    } >"$root/configurations"
    "$python" "$here/torch_bench.py" --device "$device" --seconds $((part_end - SECONDS - 3)) --out "$root/torch.json" <"$root/configurations"
    local rc=$?
    [ -s "$root/torch.json" ] && fact torch "$(cat "$root/torch.json")"
    return $rc
}

# ---- the run ---------------------------------------------------------------------------------------
failed=0 missing=0
: >"$root/results"
run_part() { # NAME KIND EMULATED
    local name=$1 kind=$2 emulated=$3 most part_end rc t0=$SECONDS state why=""
    rm -f "$root/why"
    : >"$root/facts"
    most=$(budget "$name")
    part_end=$((SECONDS + most))
    if [ $shim = 1 ] && [ "$emulated" = n ]; then
        state=not_run why="it needs a card"
    elif [ "$most" -lt 2 ]; then
        state=not_run why="no time left"
    else
        echo "== $name (at most $most s)"
        [ "$kind" = f ] && fact clocks_before "$(quote "$(smi clocks.sm,clocks.mem,temperature.gpu,power.draw)")"
        within "$most" "part_$name" >"$root/log" 2>&1
        rc=$?
        [ "$kind" = f ] && fact clocks_after "$(quote "$(smi clocks.sm,clocks.mem,temperature.gpu,power.draw)")"
        list_facts
        [ -s "$root/why" ] && why=$(cat "$root/why")
        case $rc in
        0) state=passed ;;
        77) state=not_run ;;
        124) state=late why="stopped after $most s${why:+; $why}" ;;
        *) state=failed why=$(grep -v '^ *$' "$root/log" | tail -n 1) ;;
        esac
        sed 's/^/   /' "$root/log" | tail -n "$([ "$state" = passed ] && echo 12 || echo 40)"
        # shellcheck disable=SC1091 # written by part_start
        [ -s "$root/state" ] && . "$root/state"
    fi
    if [ "$kind" = c ]; then
        case $state in failed | late) failed=1 ;; esac
        [ $state = not_run ] && [ -z "$only" ] && { [ $shim = 0 ] || [ "$emulated" = y ]; } && [ "$name" != nccl ] && [ "$name" != parity ] && missing=1
    elif [ $state = failed ]; then
        failed=1
    fi
    printf '   %-10s %-8s %4d s%s\n' "$name" "${state/_/ }" $((SECONDS - t0)) "${why:+: $why}" | tee -a "$root/table"
    printf '{"part": "%s", "state": "%s", "seconds": %d, "why": %s, "facts": {%s}}\n' "$name" "$state" $((SECONDS - t0)) \
        "$(if [ -n "$why" ]; then quote "$why"; else echo null; fi)" "$(paste -sd, - <"$root/facts")" >>"$root/results"
}

# ---- results ---------------------------------------------------------------------------------------
# a cell of a table: what was measured, or nothing
cell() { value "$1" "$2" | awk '{ printf "%.4g", $1 }'; }
lines_of() { # KEY: elements of a list of facts, one per line
    grep -o "\"$1\": \[{.*" "$root/results" | sed "s/^\"$1\": \[//; s/}\].*/}/" | sed 's/},{"/}\n{"/g'
}
table() {
    echo "# gpu-check, $date"
    echo
    echo "Card: ${card:-none}$([ $shim = 1 ] && echo ' (emulated: no figure of a card)'). $about."
    echo
    echo '| part | state | |'
    echo '|---|---|---|'
    sed -nE 's/^   ([a-z]+) +(passed|failed|late|not run) +([0-9]+) s(: )?(.*)/| \1 | \2, \3 s | \5 |/p' "$root/table"
    [ $shim = 1 ] && return
    echo
    echo '| step, bf16 | batch | images/s | ms | TFLOP/s | MFU | peak MiB | saved widths | eager images/s | compile images/s |'
    echo '|---|---|---|---|---|---|---|---|---|---|'
    configurations | while read -r m s k b; do
        lines_of steps | grep "\"model\":\"$m\"" | grep "\"image_size\":${s}[,}]" >"$root/row"
        printf '| %s %s px keep %s | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n' "$m" "$s" "$k" \
            "$(cell "$root/row" batch)" "$(cell "$root/row" images_per_second)" "$(cell "$root/row" median)" \
            "$(cell "$root/row" nominal_tflops)" "$(cell "$root/row" mfu)" \
            "$(cell "$root/row" peak_bytes | awk 'NF { printf "%.0f", $1 / 1048576 }')" "$(cell "$root/row" saved_widths)" \
            "$(torch_cell "$m" "$s" eager)" "$(torch_cell "$m" "$s" compile)"
    done
    table_memory
}
# mid FILE KEY: median of the numbers of a key, one object per line
mid() { sed -nE "s/.*\"$2\": ?([-+0-9.eE]+).*/\1/p" "$1" | sort -g | awk '{ x[NR] = $1 } END { if (NR) print x[int((NR + 1) / 2)] }'; }
ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (a > 0 && b > 0) printf "%.3f", a / b }'; }
table_memory() {
    local last theirs ours s
    torch_rows deit_small_patch16_224 224 eager >"$root/cell"
    theirs=$(value "$root/cell" saved_bytes)
    echo
    [ -s "$root/torch.json" ] && echo "PyTorch $(value "$root/torch.json" torch), timm $(value "$root/torch.json" timm)," \
        "attention by $(grep -o '"sdpa": \[[^]]*\]' "$root/torch.json" | sort -u | sed 's/"sdpa": //' | xargs)." && echo
    echo '| saved for backward, DeiT-S 224 px | recompute | bytes, median of 3 | peak bytes, same runs | PyTorch eager, saved | its peak | ratio |'
    echo '|---|---|---|---|---|---|---|'
    for last in false true; do
        lines_of saved | grep "\"full_last\":$last" >"$root/row"
        ours=$(mid "$root/row" saved_bytes)
        printf '| batch %s, %s last block | %s | %s | %s | %s | %s | %s |\n' "$(value "$root/row" batch)" \
            "$([ $last = true ] && echo full || echo small)" "$(value "$root/row" recompute)" "$ours" "$(mid "$root/row" peak_bytes)" \
            "$theirs" "$(value "$root/cell" peak_bytes)" "$(ratio "$ours" "$theirs")"
    done
    echo
    echo '| largest batch, DeiT-S, keep 0.25 | ours | PyTorch eager |'
    echo '|---|---|---|'
    for s in $largest; do
        lines_of largest_batch | grep "\"image_size\": $s," >"$root/row"
        torch_rows deit_small_patch16_224 "$s" largest >"$root/cell"
        printf '| %s px | %s | %s |\n' "$s" "$(value "$root/row" batch)" "$(value "$root/cell" batch)"
    done
    echo
    echo '| table 1: B/16, batch 1, SGD | ours, GB | the paper, GB | ours - 14 B a parameter | the paper - 12 B a parameter | below half |'
    echo '|---|---|---|---|---|---|'
    lines_of table1_judged | while read -r s; do
        echo "$s" >"$root/row"
        printf '| %s | %s | %s | %s | %s | %s |\n' "$(value "$root/row" row)" "$(giga ours_bytes)" "$(value "$root/row" paper_gb)" \
            "$(giga ours_rest)" "$(giga paper_rest)" "$(value "$root/row" below_half | sed 's/true/yes/; s/false/no/')"
    done
}
giga() { value "$root/row" "$1" | awk '{ printf "%.3f", $1 / 1e9 }'; }
torch_rows() { # MODEL PX MODE: objects of torch.json, one per line
    [ -s "$root/torch.json" ] && tr '{' '\n' <"$root/torch.json" | grep "\"model\": \"$1\"" | grep "\"image_size\": $2," | grep "\"mode\": \"$3\""
}
torch_cell() {
    torch_rows "$1" "$2" "$3" >"$root/cell"
    cell "$root/cell" images_per_second
}
# After every part, so that whoever ends the whole leaves what was found until then.
write_results() {
    local short file
    short=$(printf '%s' "${card:-none}" | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9-')
    file=$out/${date%%T*}-$short-$commit
    {
        printf '{"schema": 1, "date": "%s", "bundle": %s, "commit": "%s", "card": %s, "emulated": %s, "clocks_after": %s,\n "parts": [\n' \
            "$date" "$(quote "$about")" "$commit" "$(quote "${card:-}")" "$([ $shim = 1 ] && echo true || echo false)" \
            "$(quote "$(smi clocks.sm,clocks.mem,temperature.gpu,power.draw)")"
        sed '$!s/$/,/; s/^/  /' "$root/results"
        printf ' ]}\n'
    } >"$root/result.json"
    table >"$root/table.md"
    mkdir -p "$out" && cp "$root/result.json" "$file.json" && cp "$root/table.md" "$file.md" && echo "$file.json" >"$root/written"
}

set -m # parts are process groups, so that all of a part can be ended
: >"$root/table"
rows >"$root/rows"
date=$(date -u +%Y-%m-%dT%H:%M:%SZ)
while read -r name share most kind emulated what; do
    wanted "$name" || continue
    run_part "$name" "$kind" "$emulated" </dev/null
    if [ "$name" = start ]; then
        card=$(grep -o '"card": "[^"]*"' "$root/results" | cut -d'"' -f4)
        if [ $failed = 1 ]; then # nothing was measured: no result
            echo "gpu-check: the program does not run on a card here; --shim checks what needs none" >&2
            exit 3
        fi
    fi
    write_results </dev/null || failed=1
done <"$root/rows"

echo
cat "$root/table.md"
echo
echo "results: $(cat "$root/written")"
if [ $failed = 1 ]; then
    echo "gpu-check: failed"
    exit 1
elif [ $missing = 1 ]; then
    echo "gpu-check: a part about correctness did not run"
    exit 1
fi
echo "gpu-check: passed$([ $shim = 1 ] && echo ' (emulated, on the CPU)')"
