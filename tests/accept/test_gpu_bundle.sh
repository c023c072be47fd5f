#!/bin/bash
# The bundle for a machine with a card, as far as it goes without one: it is built, small enough, the same
# twice; its parity part passes through the emulator, also in a folder that holds none of our libraries and
# over the bundle's own C library; a damaged bundle is refused; the PyTorch side runs where torch is.
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
bundle=$build/gpu-bundle
n_bad=0
ok() { echo "ok $1"; }
bad() { echo "not ok $1: $2" && n_bad=$((n_bad + 1)); }

if ! make gpu-bundle BUILD="$build" >"$tmp/log" 2>&1; then
    bad gpu_bundle "$(tail -n 1 "$tmp/log")"
    exit 1
fi
ok gpu_bundle
cp "$bundle/MANIFEST" "$tmp/first"
make gpu-bundle BUILD="$build" >"$tmp/log" 2>&1
if cmp -s "$bundle/MANIFEST" "$tmp/first"; then ok gpu_bundle_same_bytes; else bad gpu_bundle_same_bytes "it differs"; fi

cp -r "$bundle" "$tmp/moved"
if env -i PATH=/usr/bin:/bin HOME="$tmp" "$tmp/moved/gpu-check.sh" --shim --out "$tmp/results" >"$tmp/log" 2>&1; then
    ok gpu_shim
else
    bad gpu_shim "$(grep -E 'failed|late' "$tmp/log" | head -n 3 | xargs)"
fi
json=$(find "$tmp/results" -name '*.json' | head -n 1)
if python3 -c 'import jsonschema' 2>/dev/null; then
    if python3 -c 'import json, jsonschema, sys
jsonschema.validate(json.load(open(sys.argv[1])), json.load(open("docs/gpu-results.schema.json")))' "$json" 2>"$tmp/log"; then
        ok gpu_result_schema
    else bad gpu_result_schema "$(tail -n 3 "$tmp/log" | xargs)"; fi
else
    echo "skip gpu_result_schema: python3 has no jsonschema"
fi

# a root folder with bash, coreutils and the like, and no library of ours: as on a machine with a card
if [ "$(id -u)" = 0 ] && command -v chroot >/dev/null; then
    root=$tmp/root
    mkdir -p "$root"/{bin,tmp,proc,dev,bundle,usr/bin}
    for p in bash sh awk sed grep tar gzip sha256sum mktemp cat date dirname find head mkdir paste rm sleep sort tail tee tr cut cp nproc xargs env; do
        f=$(readlink -f "$(command -v $p)")
        cp "$f" "$root/bin/$p"
        ldd "$f" 2>/dev/null | grep -oE '/[^ ]+\.so[^ ]*' | while read -r l; do cp --parents -L -n "$l" "$root/"; done
    done
    cp -r "$bundle/." "$root/bundle/"
    for how in own host; do
        # a part of the C library that no tool here needs and ours do: without it the bundle's must serve
        [ $how = host ] && ldd "$build/mammovit" | awk '$1 ~ /^lib(m|resolv|pthread|dl|rt)\.so/ { print $3 }' |
            while read -r l; do cp --parents -L -n "$l" "$root/"; done
        if chroot "$root" /bin/bash -c 'PATH=/bin /bundle/gpu-check.sh --shim --only curves --out /tmp/r' >"$tmp/log" 2>&1 &&
            grep -q "\"own_c_library\": $([ $how = own ] && echo true || echo false)" "$root"/tmp/r/*.json; then
            ok "gpu_chroot_${how}_libc"
        else
            bad "gpu_chroot_${how}_libc" "$(tail -n 3 "$tmp/log" | xargs)"
        fi
        rm -rf "$root/tmp/r"
    done
else
    echo "skip gpu_chroot_host_libc: it wants root and chroot"
fi

python=${TORCH_PYTHON:-python3}
if "$python" -c 'import torch, timm' 2>/dev/null; then
    # PyTorch's autocast is the measure: ours passes, and its planted faults are noticed
    if "$tmp/moved/gpu-check.sh" --shim --only parity --python "$python" --out "$tmp/parity" >"$tmp/log" 2>&1 &&
        grep -q '"planted": true' "$tmp"/parity/*.json; then ok gpu_parity; else bad gpu_parity "$(grep FAILED "$tmp/log" | head -n 2 | xargs)"; fi
    printf 'vit_tiny_patch16_224 32 1 %s\n' 1 largest | "$python" tests/gpu/torch_bench.py --device cpu --warmup 0 --timed 2 \
        --seconds 60 --out "$tmp/torch.json" >"$tmp/log" 2>&1
    if grep -q '"images_per_second"' "$tmp/torch.json" && grep -q '"mode": "largest", "batch": [1-9]' "$tmp/torch.json"; then
        ok gpu_torch
    else bad gpu_torch "$(tail -n 1 "$tmp/log")"; fi
else
    echo "skip gpu_torch: $python has no torch and timm (TORCH_PYTHON)"
fi

printf x | dd of="$tmp/moved/payload.tar.xz" bs=1 seek=5000 conv=notrunc 2>/dev/null
"$tmp/moved/gpu-check.sh" --shim --only start --out "$tmp/results" >"$tmp/log" 2>&1
if [ $? -eq 3 ] && grep -q 'the bundle is damaged' "$tmp/log"; then ok gpu_damaged; else bad gpu_damaged "$(tail -n 1 "$tmp/log")"; fi

[ "$n_bad" -eq 0 ]
