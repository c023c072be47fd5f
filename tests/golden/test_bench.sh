#!/bin/bash
# bench step, infer and ops: what they tell, on the CPU and on the card that is none, and what they refuse.
# shellcheck source=tests/golden/lib.sh
. "$(dirname "$0")/lib.sh"

small=(--model vit_tiny_patch16_224 --set model.depth=2 --image-size 64 --batch 2 --warmup 1 --steps 3)

# has NAME FILE KEY...: every key stands in the JSON line with a value that is not null
has() {
    local name=$1 file=$2 k missing=""
    shift 2
    for k in "$@"; do grep -qE "\"$k\":[^n]" "$file" || missing="$missing $k"; done
    if [ -z "$missing" ]; then ok "$name"; else bad "$name" "lacks$missing: $(head -c 300 "$file")"; fi
}
keys=(images_per_second step_ms median q1 q3 tflops nominal_tflops ceiling_tflops mfu peak_bytes memory class_ms
    patch linear attention layernorm gelu map loss optimiser copies other device title emulated precision)

if "$mammovit" bench step "${small[@]}" --keep-rate 0.5 --json >"$work/step" 2>"$work/log"; then
    has bench_step "$work/step" "${keys[@]}" saved_bytes_per_token_layer saved_widths
else
    bad bench_step "$(tail -n 1 "$work/log")"
fi
"$mammovit" bench step "${small[@]}" --ceiling 0.5 --json >"$work/given" 2>/dev/null
if grep -q '"ceiling_tflops":0.5,' "$work/given"; then ok bench_ceiling; else bad bench_ceiling "$(cat "$work/given")"; fi
"$mammovit" bench infer "${small[@]}" --ceiling 0.5 --json >"$work/infer" 2>/dev/null
has bench_infer "$work/infer" "${keys[@]}"
if grep -q saved_widths "$work/infer"; then bad bench_infer_saves_nothing "it says what it saves"; else ok bench_infer_saves_nothing; fi
expect bench_bad_ceiling 2 "wanted TFLOP/s" bench step --ceiling fast
expect bench_bad_optimizer 2 "wanted adamw or sgd" bench step --optimizer lion
"$mammovit" bench step "${small[@]}" --ceiling 0.5 --optimizer sgd --set train.recompute=ln_gelu --json >"$work/less" 2>/dev/null
# one state of each parameter instead of two, and less that waits for the backward pass
kept() { sed -E "s/.*\"$2\":([0-9]+)[,}].*/\1/" "$work/$1"; }
if [ "$(kept given optimizer)" = $((2 * $(kept less optimizer))) ] && [ "$(kept given saved_bytes)" -gt "$(kept less saved_bytes)" ]; then
    ok bench_recompute_and_sgd
else bad bench_recompute_and_sgd "$(cat "$work/less")"; fi
expect bench_bad_steps 2 "wanted an integer from 1" bench step --steps 0
expect bench_bad_word 2 "wanted step, infer, ops" bench nothing
expect bench_bf16_on_the_cpu 3 "the cpu backend computes in f32" bench step "${small[@]}" --set train.precision=bf16

mammovit=$BUILD/shim/mammovit
if [ -x "$mammovit" ]; then
    if "$mammovit" bench step "${small[@]}" --device cuda --set train.precision=bf16 --ceiling 1 --json >"$work/shim" 2>"$work/log"; then
        has bench_emulated "$work/shim" "${keys[@]}" saved_widths
        # the warm-up step was cut where scratch memory grew: its whole list comes first with the first timed one
        if grep -q '"graphs":2,.*"issued":1,' "$work/shim"; then ok bench_steps_are_graphs; else
            bad bench_steps_are_graphs "$(grep -oE '"(graphs|issued)":[0-9]*' "$work/shim" | paste -sd' ')"
        fi
        if grep -q '"emulated":true' "$work/shim"; then ok bench_says_emulated; else bad bench_says_emulated "it does not"; fi
    else
        bad bench_emulated "$(tail -n 1 "$work/log")"
    fi
    if "$mammovit" bench ops --device cuda --set train.precision=bf16 --json >"$work/ops" 2>"$work/log"; then
        has bench_ops "$work/ops" copy_tb_per_second ceiling_tflops attention products forward_tflops backward_tflops emulated
    else
        bad bench_ops "$(tail -n 1 "$work/log")"
    fi
else
    skip bench_emulated "$mammovit is not built"
fi
[ "$n_bad" -eq 0 ]
