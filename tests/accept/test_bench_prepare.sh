#!/bin/bash
# prepare beside the pipeline that people write with pydicom, GDCM, OpenCV and h5py, per transfer
# syntax: eight mammogram-like files of 4096 x 3328 pixels and 12 bits, each four times. The table
# goes to stdout; SIZE=HxW chooses the output. Skips where the peer's packages are missing
# (python3-pydicom python3-gdcm python3-opencv python3-h5py dcmtk libgdcm-tools).
# Not a gate on its figures: times depend on the machine, the reader judges.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../golden/lib.sh"
peer=$top/tests/accept/peer_prepare.py
for tool in dcmcjpeg dcmcrle dcmcjpls gdcmconv; do
    command -v $tool >/dev/null || { skip bench_prepare "$tool is not installed"; exit 0; }
done
"$peer" --check 2>/dev/null || { skip bench_prepare "the peer's Python packages are not installed"; exit 0; }

size=${SIZE:-2048x1664}
mkdir -p "$work"/{raw,all}
"$peer" make "$work/raw" "${FILES:-8}" || exit 1
for f in "$work"/raw/*.dcm; do
    b=$(basename "$f")
    mkdir -p "$work"/{jll,rle,jls,j2k}
    dcmcjpeg +e1 "$f" "$work/jll/$b" && dcmcrle "$f" "$work/rle/$b" &&
        dcmcjpls "$f" "$work/jls/$b" && gdcmconv --j2k "$f" "$work/j2k/$b" || exit 1
    for s in raw jll rle jls j2k; do
        for k in 1 2 3 4; do ln "$work/$s/$b" "$work/all/$s-$k-$b"; done
    done
done
"$mammovit" bench prepare "$work/all" --set "prepare.sizes=$size" --peer "$peer" | tee "$work/table"
check bench_prepare_rows "one row per transfer syntax is missing" \
    test "$(grep -c ' times$' "$work/table")" = 5
exit $((n_bad > 0))
