#!/bin/bash
# The lint finds what it is for: a clean little tree passes, and each planted fault fails with its
# sentence. The tree is a git repository of its own in TMPDIR.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd)
for tool in git clang-format shellcheck; do
    if ! command -v $tool >/dev/null; then
        echo "skip lint: $tool is not installed"
        exit 0
    fi
done
top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT
cd "$top" || exit 1

mkdir -p core dicom preprocess model/cpu train eval cli tests/lint
cp "$root"/tests/lint/*.sh tests/lint/
cp "$root"/.clang-format .
git init -q . && git config user.email t@example.org && git config user.name t

# unit ROOM/NAME [INCLUDE]: a header and a source that follow every rule
unit() {
    local guard=${1//\//_}
    local name=${1##*/}
    guard=${guard^^}_H
    printf '/* A part of the test. */\n#ifndef %s\n#define %s\nint %s_get(void);\n#endif\n' \
        "$guard" "$guard" "$name" >"$1.h"
    {
        printf '/* A part of the test. */\n#include "%s.h"\n' "$1"
        [ $# -gt 1 ] && printf '\n#include "%s"\n' "$2"
        printf '\nint %s_get(void)\n{\n    return 1;\n}\n' "$name"
    } >"$1.c"
}
clean() {
    unit core/err
    unit dicom/scan core/err.h
    unit preprocess/shard dicom/scan.h
    unit model/tape core/err.h
    unit eval/scores core/err.h
    unit train/loader preprocess/shard.h
    unit cli/args train/loader.h
    git add -A
}

bad=0
# plant NAME SENTENCE: the tree as it stands must fail with the sentence
plant() {
    local out rc
    git add -A
    out=$(tests/lint/lint.sh 2>&1)
    rc=$?
    if [ $rc -ne 0 ] && grep -qF -- "$2" <<<"$out"; then
        echo "ok lint finds $1"
    else
        echo "not ok lint finds $1: status $rc, wanted '$2'"
        printf '%s\n' "$out" | tail -n 20
        bad=1
    fi
    git rm -rqf --cached . && git clean -qfdx -e tests -e .clang-format && rm -f tests/*.sh
    mkdir -p core dicom preprocess model/cpu train eval cli
    clean
}

clean
if out=$(tests/lint/lint.sh 2>&1) && grep -q '7 exported' <<<"$out"; then
    echo "ok a clean tree passes"
else
    printf 'not ok a clean tree passes: %s\n' "$(tail -n 1 <<<"$out")"
    printf '%s\n' "$out"
    bad=1
fi

unit eval/boot model/tape.h
plant "eval including model" "eval/boot.c:4: includes model/tape.h: eval may not include model"
unit core/fs dicom/scan.h
plant "core including a room" "core may not include dicom"
unit train/late dicom/scan.h
plant "train including dicom" "train may not include dicom"
unit preprocess/image
unit train/peek preprocess/image.h
plant "train beyond its doors in preprocess" "train uses shard.h, cohort.h and prepare.h"
unit eval/report
unit train/draw eval/report.h
plant "train beyond its doors in eval" "train uses scores.h, exam.h and metric.h"
unit model/cpu/gemm
unit model/op model/cpu/gemm.h
plant "a private backend header" "includes model/cpu/gemm.h: only model/backend.c may"
sed -i 's|#include "core/err.h"|#include "../core/err.h"|' dicom/scan.c
plant "a path with .." "no .. in an include"
sed -i 's|#include "core/err.h"|#include "err.h"|' dicom/scan.c
plant "a path without its room" "the path must start at the root"
sed -i 's|#include "core/err.h"|#include <hdf5.h>|' dicom/scan.c
plant "HDF5 outside preprocess" "includes hdf5.h: only preprocess/ and train/maps_h5.c may"
sed -i 's|#include "core/err.h"|#include <dcmtk/dcmdata/dctk.h>|' dicom/scan.c
plant "DCMTK outside its shim" "only dicom/dcmtk_shim.cpp may"
sed -i 's|#include "core/err.h"|#include <opencv2/core.hpp>|' dicom/scan.c
plant "OpenCV outside its shim" "only preprocess/opencv_shim.cpp may"
unit core/mem
sed -i 's|^int |#include "core/err.h"\nint |' core/mem.h
sed -i 's|^int |#include "core/mem.h"\nint |' core/err.h
plant "a cycle of headers" "core/err.h"
sed -i 's|scan_get|fetch_it|' dicom/scan.h
plant "a foreign prefix" "dicom/scan.h:4: fetch_it does not begin with scan_"
printf '/* %0100d */\n' 1 >>core/err.c
plant "a long line" "core/err.c:8: longer than 100 columns"
printf '/* TO''DO later */\n' >>core/err.c
plant "an open point without an issue" "core/err.c:8:"
sed -i 1d core/err.c
plant "a missing purpose" "core/err.c:1: the purpose of the file is missing"
sed -i 's|    return 1|  return 1|' core/err.c
plant "wrong indentation" "core/err.c: 1 places, run make format"
# shellcheck disable=SC2016 # the fault is an unquoted variable in the planted script
printf '#!/bin/bash\n# A fault.\nrm $1\n' >tests/x.sh && chmod +x tests/x.sh
plant "a careless script" "tests/x.sh:3"
# shellcheck disable=SC2016
printf '/* see /%s/main */\n' work >>core/err.c
plant "a folder of one machine" "core/err.c:8"
head -c 300000 /dev/zero | tr '\0' 'x' >tests/big.txt
plant "a large file" "tests/big.txt: 300000 bytes"
exit $bad
