#!/bin/bash
# Weights between this program and timm, 0.4.12 and a current one, for every family of networks: our
# export loads there (strict) and gives equal logits; their state dict, saved as .pth and as
# safetensors, loads here and gives equal logits; a head of 1000 classes is replaced.
# Needs Debian's python3-torch and python3-torchvision and, once, PyPI for timm; with its libopenblas0
# all networks take about an hour on two cores, with its plain libblas3 some hours.
# MODELS: other networks than those of the table below. VERSIONS: only these of timm.
set -u
BUILD=${BUILD:-build}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

models=${MODELS:-"deit_tiny_patch16_224 deit_small_patch16_224 deit_base_patch16_224
deit_tiny_distilled_patch16_224 deit_small_distilled_patch16_224 deit_base_distilled_patch16_224
vit_tiny_patch16_224 vit_small_patch16_224 vit_base_patch16_224 vit_large_patch16_224
vit_base_patch8_224 vit_tiny_patch16_224_in21k vit_base_patch16_224_in21k
vit_tiny_patch16_reg4_224 vit_small_patch16_reg4_224
swin_tiny_patch4_window7_224 swin_small_patch4_window7_224 swin_base_patch4_window7_224
swin_large_patch4_window7_224 swin_base_patch4_window7_224_in22k
pit_ti_224 pit_xs_224 pit_s_224 pit_b_224
pit_ti_distilled_224 pit_xs_distilled_224 pit_s_distilled_224 pit_b_distilled_224"}

skip_all() {
    echo "skip torch_export: $1"
    exit 0
}

# venv NAME VERSION PACKAGES: a Python with that timm beside Debian's torch; its path in $python
venv() {
    local at=$BUILD/torch-venv-$1 want=$2
    shift 2
    python=$at/bin/python
    "$python" -c "import timm, sys; sys.exit(not timm.__version__.startswith('$want'))" \
        2>/dev/null && return
    { /usr/bin/python3 -m venv --system-site-packages "$at" &&
        "$at/bin/pip" install -q --no-deps "timm==$want.*" &&
        { [ $# -eq 0 ] || "$at/bin/pip" install -q "$@"; } && "$python" -c 'import timm'; } \
        >"$tmp/pip" 2>&1
}

# check NAME COMMAND...: one result line; the command's last words are the reason of a failure.
check() {
    local name=$1
    shift
    if "$@" >"$tmp/log" 2>&1; then
        grep '^#' "$tmp/log"
        echo "ok $name"
    else
        echo "not ok $name: $(tail -n 1 "$tmp/log")"
    fi
}

torch() { "$python" tests/accept/torch_export.py "$@"; }

# our_export MODEL LAYOUT
our_export() {
    "$probe" export "$1" 2 "$tmp/ours.safetensors" "$2" >"$tmp/ours.txt" &&
        torch read "$1" 2 "$tmp/ours.safetensors" "$tmp/ours.txt"
}

# their_files MODEL: all parameters are copied as they are, and both containers are the same
their_files() {
    torch write "$1" 3 "$tmp/timm" || return 1
    for kind in safetensors pth; do
        "$probe" import "$1" 3 "$tmp/timm.$kind" >"$tmp/$kind.txt" || return 1
        if ! grep -q '^report [0-9]* 0 0 ' "$tmp/$kind.txt"; then
            echo "all should be loaded: $(head -n 1 "$tmp/$kind.txt")"
            return 1
        fi
    done
    cmp "$tmp/safetensors.txt" "$tmp/pth.txt" &&
        torch read "$1" 3 "$tmp/timm.safetensors" "$tmp/pth.txt"
}

# 152 arrays, of which head.weight and head.bias keep their initial values.
head_is_replaced() {
    local model=deit_tiny_patch16_224
    torch write $model 1000 "$tmp/timm" &&
        "$probe" import $model 2 "$tmp/timm.pth" >"$tmp/timm.txt" || return 1
    if ! grep -q '^report 150 0 2 ' "$tmp/timm.txt"; then
        echo "150 loaded, 0 resized, 2 kept were expected: $(head -n 1 "$tmp/timm.txt")"
        return 1
    fi
    torch compare $model 1000 "$tmp/timm.safetensors" "$tmp/timm.txt"
}

/usr/bin/python3 -c 'import torch, torchvision, venv' 2>/dev/null ||
    skip_all "python3-torch, python3-torchvision or python3-venv is not installed"
probe=$BUILD/tests/accept/torch_probe
if ! make -s BUILD="$BUILD" "$probe" >"$tmp/make" 2>&1; then
    cat "$tmp/make"
    echo "not ok torch_probe: does not build"
    exit 1
fi
for version in ${VERSIONS:-0.4.12 1.0}; do
    layout=timm
    [ "$version" = 0.4.12 ] && layout=timm0.4
    if [ "$version" = 0.4.12 ]; then venv old 0.4.12; else venv new 1.0 safetensors huggingface_hub; fi || {
        echo "skip torch_export_timm_$version: it could not be installed ($(tail -n 1 "$tmp/pip"))"
        continue
    }
    check "head_is_replaced_timm_$version" head_is_replaced
    for m in $models; do
        case $version-$m in 0.4.12-*_reg4_*) continue ;; esac # has no registers
        if ! "$BUILD/mammovit" flops --model "$m" >"$tmp/flops" 2>&1; then
            echo "skip ${m}_timm_$version: this program has no such network"
            continue
        fi
        check "${m}_reads_our_export_timm_$version" our_export "$m" $layout
        check "${m}_is_imported_timm_$version" their_files "$m"
    done
done
