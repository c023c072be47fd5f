#!/bin/bash
# A safetensors file of ours loads into timm (strict) and gives equal logits; a file written with
# timm's names loads here, its 1000-class head replaced, and gives equal features.
# Needs Debian's python3-torch and python3-torchvision and, once, PyPI for timm 0.4.12.
set -u
BUILD=${BUILD:-build}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
venv=$BUILD/torch-venv
model=deit_tiny_patch16_224

skip() {
    echo "skip timm_reads_our_weights: $1"
    echo "skip timm_weights_are_imported: $1"
    exit 0
}

/usr/bin/python3 -c 'import torch, torchvision, venv' 2>/dev/null ||
    skip "python3-torch, python3-torchvision or python3-venv is not installed"
if ! "$venv/bin/python" -c 'import timm; assert timm.__version__ == "0.4.12"' 2>/dev/null; then
    { /usr/bin/python3 -m venv --system-site-packages "$venv" &&
        "$venv/bin/pip" install -q --no-deps timm==0.4.12; } >"$tmp/pip" 2>&1 ||
        skip "timm 0.4.12 could not be installed ($(tail -n 1 "$tmp/pip"))"
fi
python() { "$venv/bin/python" tests/accept/torch_export.py "$@"; }

# test NAME COMMAND...: one result line; the command's last words are the reason of a failure.
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

timm_reads() {
    "$probe" export $model 2 "$tmp/ours.safetensors" >"$tmp/ours.txt" &&
        python read $model 2 "$tmp/ours.safetensors" "$tmp/ours.txt"
}

# 152 arrays, of which head.weight and head.bias keep their initial values.
timm_imported() {
    python write $model 1000 "$tmp/timm.safetensors" &&
        "$probe" import $model 2 "$tmp/timm.safetensors" >"$tmp/timm.txt" || return 1
    if ! grep -q '^report 150 0 2 ' "$tmp/timm.txt"; then
        echo "150 loaded, 0 resized, 2 kept were expected: $(head -n 1 "$tmp/timm.txt")"
        return 1
    fi
    python compare $model 1000 "$tmp/timm.safetensors" "$tmp/timm.txt"
}

probe=$BUILD/tests/accept/torch_probe
if ! make -s BUILD="$BUILD" "$probe" >"$tmp/make" 2>&1; then
    cat "$tmp/make"
    echo "not ok torch_probe: does not build"
    exit 1
fi
check timm_reads_our_weights timm_reads
check timm_weights_are_imported timm_imported
