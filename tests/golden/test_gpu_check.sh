#!/bin/bash
# gpu-check before there is a card: its list, what it refuses, how it shares out its time (with programs that
# only sleep), the bundle's size where one was built, and that README, log and results say the same about
# what a card has proved.
# shellcheck source=tests/golden/lib.sh
. "$(dirname "$0")/lib.sh"
cd "$top" || exit 1
script=tests/gpu/gpu-check.sh

# gives NAME STATUS TEXT WORDS...: the script ends so and prints this
gives() {
    local name=$1 status=$2 text=$3 got
    shift 3
    "$script" "$@" >"$work/out" 2>&1 </dev/null
    got=$?
    if [ "$got" -ne "$status" ]; then bad "$name" "exit status $got, wanted $status"; elif
        ! grep -qF -- "$text" "$work/out"
    then bad "$name" "the output lacks '$text'"; else ok "$name"; fi
}
gives gpu_list 0 "share of 540 seconds, at most with what is left over" --list
order=$(awk '/ s  / { print $1 }' "$work/out" | xargs)
want="start ops nets pytorch parity curves train same memcheck racecheck nccl ceilings steps torch memory"
if [ "$order" = "$want" ]; then ok gpu_list_order; else bad gpu_list_order "$order"; fi
first=$(awk '/ s  / { n++; if (/correctness/ && n > c + 1) print $1; if (/correctness/) c = n }' "$work/out")
if [ -z "$first" ]; then ok gpu_correctness_first; else bad gpu_correctness_first "$first comes after figures"; fi
shares=$(awk '/ s  / { n += $2; if ($4 < $2) n = 1000 } END { print n }' "$work/out")
if [ "$shares" -gt 0 ] && [ "$shares" -le 520 ]; then ok gpu_shares_fit; else bad gpu_shares_fit "$shares s of 520"; fi
gives gpu_unknown_option 2 "unknown option '--fast'" --fast
gives gpu_unknown_part 2 "no part 'nothing'" --only nothing
gives gpu_no_bundle 3 "the bundle is damaged: MANIFEST is missing" --shim --out "$work/results"

# a bundle of programs that sleep as long as they are told, and a script whose parts have a 14th of their share and a tenth of their most
sleepers() {
    local fake=$work/fake pay=$work/payload t
    mkdir -p "$fake" "$pay/bin" "$pay/tests/bin" "$work/none"
    cat >"$pay/bin/mammovit" <<'TEXT'
#!/bin/sh
case "$*" in
--version) echo "fake behind $LD_LIBRARY_PATH" ;;
*vit_tiny*)
    [ -z "$FAKE_WARNS" ] || echo 'warn attention_slow why="no cuDNN"' >&2
    echo '{"title":"Fake","emulated":false}'
    ;;
*)
    sleep "$FAKE_STEP"
    last=$(echo "$*" | sed -n 's/.*full_last=//p' | cut -d' ' -f1)
    px=$(echo "$*" | sed -n 's/.*--image-size \([0-9]*\).*/\1/p')
    batch=$(echo "$*" | sed -n 's/.*--batch \([0-9]*\).*/\1/p')
    [ "$batch" -le "${FAKE_FITS:-9999}" ] || exit 5
    echo "{\"model\":\"deit_small_patch16_224\",\"image_size\":$px,\"batch\":$batch,\"images_per_second\":5,\"recompute\":\"ln_gelu\"," \
        "\"full_last\":${last:-false},\"saved_bytes\":1000,\"parameters\":85000000,\"memory\":{\"libraries\":500000000},\"peak_bytes\":${FAKE_PEAK:-0}}"
    ;;
esac
TEXT
    grep -oE 'test_(cuda|model)_[a-z]+' "$script" | sort -u | while read -r t; do
        # shellcheck disable=SC2016 # for the script
        printf '#!/bin/sh\nsleep "$FAKE_TEST"\necho "[  PASSED  ] 1 test(s)."\n' >"$pay/tests/bin/$t"
    done
    mkdir -p "$work/tools"
    # shellcheck disable=SC2016 # for the script
    printf '#!/bin/sh\necho "$*" >>"$FAKE_WORDS"\necho "========= ERROR SUMMARY: 0 errors"\n' >"$work/tools/compute-sanitizer"
    printf '#!/bin/sh\n' >"$pay/tests/bin/parity"
    # a Python that writes what PyTorch's side would
    cat >"$work/python" <<'TEXT'
#!/bin/sh
case "$1" in
-c) exit 0 ;;
*parity.py)
    while [ "$1" != --out ]; do shift; done
    echo '{"model": "m", "rows": []}' >"$2"
    exit "${FAKE_PARITY:-0}"
    ;;
*torch_bench.py)
    while [ "$1" != --out ]; do shift; done
    grep -q 'deit_small_patch16_224 4096 0.25 largest' || exit 1
    echo '{"torch": "2.11", "timm": "1.0", "rows": [{"model": "deit_small_patch16_224", "image_size": 224, "batch": 256, "mode": "eager",' \
        '"images_per_second": 4, "saved_bytes": 2000, "peak_bytes": 9, "sdpa": ["cudnn"]}],' \
        '"largest": [{"model": "deit_small_patch16_224", "image_size": 896, "mode": "largest", "batch": 77}]}' >"$2"
    ;;
esac
TEXT
    chmod +x "$pay"/bin/* "$pay"/tests/bin/* "$work/python" "$work/tools/compute-sanitizer"
    tar -C "$work/none" -czf "$fake/boot.tar.gz" .
    tar -C "$work/none" -cJf "$fake/system.tar.xz" .
    tar -C "$pay" -cJf "$fake/payload.tar.xz" .
    awk '/^[a-z]+ +[0-9]+ +[0-9]+ [cf] [yn] / { $2 = int($2 / 14 + 1); $3 = int($3 / 10 + 1) } { print }' "$script" >"$fake/gpu-check.sh"
    chmod +x "$fake/gpu-check.sh"
    {
        echo "# mammovit 0 abc, cuda 1"
        (cd "$fake" && sha256sum ./*.tar.* ./gpu-check.sh)
        (cd "$work" && sha256sum payload/bin/* payload/tests/bin/*)
    } >"$work/MANIFEST"
    mv "$work/MANIFEST" "$fake/"
}
# shared NAME STATUS PARTS SECONDS: a run of the sleepers
shared() {
    FAKE_TEST=${FAKE_TEST:-0} FAKE_STEP=${FAKE_STEP:-0} "$work/fake/gpu-check.sh" --only "$3" --seconds "$4" \
        --python "$work/python" --out "$work/$1" >"$work/out" 2>&1 </dev/null
    local got=$?
    [ $got -eq "$2" ] || bad "$1" "exit status $got, wanted $2: $(tail -n 1 "$work/out")"
}
# says NAME TEXT...: the last run said this
says() {
    local name=$1 line
    shift
    for line; do grep -qE -- "$line" "$work/out" || { bad "$name" "the output lacks '$line'" && return; }; done
    ok "$name"
}
if command -v xz >/dev/null; then
    sleepers
    shared gpu_time_over 0 ops,nets,steps 100
    says gpu_time_over '^== ops \(at most 10 s' '^== nets \(at most 7 s' '^== steps \(at most 13 s' '^ +steps +passed'
    # the first take too long: they are stopped, what comes behind them is named, and there is a result
    FAKE_TEST=60 shared gpu_time_short 1 ops,nets,memory 8
    says gpu_time_short '^ +ops +late +[0-9]+ s: stopped after [1-4] s' '^ +memory +not run +0 s: no time left'
    if grep -q '"part": "memory", "state": "not_run"' "$work"/gpu_time_short/*.json; then ok gpu_time_result; else
        bad gpu_time_result "no result of a run that was short of time"
    fi
    # what does not fit into a part is named, what did stays
    FAKE_STEP=3 shared gpu_time_part 0 steps 100
    says gpu_time_part '^ +steps +passed .*: no time left for .*deit_tiny_patch16_224 224 px'
    if grep -q '"steps": \[{"model"' "$work"/gpu_time_part/*.json; then ok gpu_time_part_kept; else
        bad gpu_time_part_kept "the figures of the part are lost"
    fi
    # where the machine names its driver's folder, ours come before it, and no element is empty
    LD_LIBRARY_PATH=$work/driver shared gpu_driver_folder 0 ops 100
    says gpu_driver_folder "^ +fake behind /[^:]+(:/[^:]+)*:$work/driver(:/[^:]+)*\$"
    FAKE_WARNS=1 shared gpu_slow_attention 3 ops 100
    says gpu_slow_attention '^ +start +failed .*attention_slow why="no cuDNN"'
    FAKE_WORDS=$work/words PATH=$work/tools:$PATH shared gpu_sanitizer 0 memcheck,racecheck 100
    if [ "$(grep -c -- '--report-api-errors no .*cuda.timed=false' "$work/words")" = 4 ] &&
        [ "$(grep -c -- '--tool racecheck .*--kernel-name-exclude kns=cublas' "$work/words")" = 2 ]
    then ok gpu_sanitizer; else bad gpu_sanitizer "$(cat "$work/words")"; fi
    # what is measured and what PyTorch's side measured stand side by side: 2.7e9 bytes less the libraries' 0.5e9 are
    # 1.01e9 beside the parameters, less than half of 5.15e9 with its parameters off, not of 1.65e9
    FAKE_PEAK=2700000000 FAKE_FITS=100 shared gpu_beside_torch 0 torch,memory 540
    says gpu_beside_torch 'PyTorch 2.11, timm 1.0, attention by .cudnn' '^. 896 px . 96 . 77 .$' \
        '^. table 1' '^. 896/0.5 . 2.200 . 5.15 . 1.010 . 4.130 . yes .$' '^. 896/0.1 . 2.200 . 1.65 . 1.010 . 0.630 . no .$'
    FAKE_PEAK=5 shared gpu_saved 0 torch,memory 540
    says gpu_saved '^. batch 256, small last block . ln_gelu . 1000 . 5 . 2000 . 9 . 0.500 .$' \
        '^. batch 256, full last block . ln_gelu . 1000 . 5 . 2000 . 9 . 0.500 .$'
    shared gpu_parity 0 parity 540
    says gpu_parity '^ +parity +passed' 'deit_small_patch16_224 of 12 blocks, 224 px keep 1, batch 8'
    FAKE_PARITY=1 shared gpu_parity_fails 1 parity 540
    says gpu_parity_fails '^ +parity +failed'
else
    skip gpu_time_over "no xz"
fi

bundle=$BUILD/gpu-bundle
if [ -s "$bundle/MANIFEST" ]; then
    size=$(find "$bundle" -type f -printf '%s\n' | awk '{ s += $1 } END { print s + 0 }')
    if [ "$size" -le $((45 << 20)) ]; then ok gpu_bundle_size; else bad gpu_bundle_size "$size bytes"; fi
else
    skip gpu_bundle_size "make gpu-bundle was not run (make accept does)"
fi

# one results table of a card, or README and log that say there is none
tables=$(grep -l '"emulated": false' docs/gpu-results/*.json 2>/dev/null | wc -l)
said=$(grep -c 'CUDA backend: unproven on a card' README.md)
warned=$(grep -c 'log_warn("cuda_unproven"' model/cuda/cuda.cu)
if [ "$tables" -gt 0 ] && [ "$said$warned" = 00 ]; then ok gpu_unproven_or_not; elif
    [ "$tables" -eq 0 ] && [ "$said" -gt 0 ] && [ "$warned" -gt 0 ]
then ok gpu_unproven_or_not; else
    bad gpu_unproven_or_not "$tables results of a card, README says unproven $said times, the log $warned times"
fi

python=$(command -v python3 || true)
if [ -n "$python" ]; then
    for f in torch_bench parity; do
        check gpu_torch_script "python does not accept tests/gpu/$f.py" "$python" -c \
            "import ast; ast.parse(open('tests/gpu/$f.py').read())"
    done
    check gpu_schema "docs/gpu-results.schema.json is no JSON" "$python" -c \
        'import json; json.load(open("docs/gpu-results.schema.json"))'
else
    skip gpu_torch_script "no python3"
fi
[ "$n_bad" -eq 0 ]
