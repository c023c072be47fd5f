#!/bin/bash
# How fast headers are read: FILES sparse copies of each image in DATA/mg_dicom, each with an
# SOP instance of its own and pixels that are holes, so that thousands fit. Images under JPEG's
# lossless process are written out first (dcmdjpeg). Figures go to stdout, the reader judges.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/../golden/lib.sh"
[ -d "${DATA:-}/mg_dicom" ] || { skip bench_scan "DATA=DIR names no folder with mg_dicom"; exit 0; }

# Bytes before the samples: tag, VR and length of an explicit little-endian PixelData.
before_pixels() { LC_ALL=C grep -aobP '\xe0\x7f\x10\x00OW\x00\x00' "$1" | tail -n 1 | cut -d: -f1; }

# $1 with the last digits of its SOP instance UID changed to $3, as $2; $4 bytes of it are written.
sparse_copy() {
    head -c "$4" "$1" | LC_ALL=C sed "s/${5//./[.]}/${5:0:-5}$3/g" >"$2" && truncate -s "$(stat -Lc %s "$1")" "$2"
}

for tool in dcmdjpeg dcmdump; do
    command -v $tool >/dev/null || { skip bench_scan "$tool is not installed"; exit 0; }
done

mkdir -p "$work/files"
kinds=0
f=$work/plain.dcm
for image in "$DATA"/mg_dicom/*.dcm; do
    dcmdjpeg +te "$image" "$f" 2>/dev/null || continue
    at=$(before_pixels "$f")
    uid=$(dcmdump +P SOPInstanceUID "$f" 2>/dev/null | sed -n 's/.*\[\(.*\)\].*/\1/p' | head -n 1)
    [[ -n $at && $uid =~ [0-9]{5}$ ]] || continue
    kinds=$((kinds + 1))
    for ((k = 0; k < ${FILES:-250}; k++)); do
        sparse_copy "$f" "$work/files/$kinds-$k.dcm" $((10000 + k)) $((at + 12)) "$uid" || exit 1
    done
done
[ $kinds -gt 0 ] || { skip bench_scan "no such image in $DATA/mg_dicom"; exit 0; }
echo "$kinds images, $(find "$work/files" -type f | wc -l) files, $(du -sm "$work/files" | cut -f1) MiB on disk"
for _ in 1 2 3; do
    "$mammovit" bench scan "$work/files" -j1 | tee -a "$work/table"
done
check bench_scan_rows "not every file was counted" \
    test "$(grep -c "^scan  *$(find "$work/files" -type f | wc -l) files" "$work/table")" = 3
exit $((n_bad > 0))
