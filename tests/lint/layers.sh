#!/bin/bash
# The include rules of the tree: which room may include which, who sees which third-party header,
# no `..`, no path without its room, no cycle between headers. Prints one line per finding and,
# last, what was looked at. Exit 1 on any finding.
set -u
export LC_ALL=C
cd "$(dirname "$0")/../.." || exit 1

rooms='core dicom preprocess model train eval cli'
mapfile -t files <<<"$(git ls-files -- '*.c' '*.h' '*.cpp' '*.cu' '*.cuh')"
existing=()
for f in "${files[@]}"; do
    [ -f "$f" ] && existing+=("$f")
done
if [ ${#existing[@]} -eq 0 ]; then
    echo "lint: layers: no tracked source was found (is this a git clone?)"
    exit 1
fi

# One line per include: file, line number, "quoted" or <angle>, target.
includes() {
    awk 'match($0, /^[ \t]*#[ \t]*include[ \t]*["<][^">]+/) {
        s = substr($0, RSTART, RLENGTH)
        kind = s ~ /"/ ? "quoted" : "angle"
        sub(/^[^"<]*["<]/, "", s)
        print FILENAME, FNR, kind, s }' "${existing[@]}"
}

# shellcheck disable=SC2016 # the program below is awk
check='
function say(why) { printf "%s:%s: includes %s: %s\n", $1, $2, $4, why; bad++ }
function room(path) { return path ~ /\// ? substr(path, 1, index(path, "/") - 1) : "" }
function only(where, what) { if ($1 !~ where) say("only " what " may") }
BEGIN {
    may["core"] = " core "
    may["dicom"] = " dicom core "
    may["preprocess"] = " preprocess dicom core "
    may["model"] = " model core "
    may["eval"] = " eval core "
    may["train"] = " train preprocess model eval core "
    may["cli"] = " cli train eval model preprocess dicom core "
    n = split(rooms, r, " ")
    for (i = 1; i <= n; i++) is_room[r[i]] = 1
}
$4 ~ /(^|\/)\.\.(\/|$)/ { say("no .. in an include") }
$3 == "quoted" && is_room[room($1)] {
    to = room($4)
    if (to == "") { say("the path must start at the root"); next }
    if (!is_room[to]) { say("there is no such room"); next }
    from = room($1)
    if (index(may[from], " " to " ") == 0) say(from " may not include " to)
    if (from == "train" && to == "preprocess" && $4 !~ /\/(shard|cohort|prepare)\.h$/)
        say("train uses shard.h, cohort.h and prepare.h of preprocess only")
    if (from == "train" && to == "eval" && $4 !~ /\/(scores|exam|metric)\.h$/)
        say("train uses scores.h, exam.h and metric.h of eval only")
}
$4 ~ /^model\/(cpu|cuda)\// && $1 !~ /^tests\// {
    only("^(model/backend\\.c$|model/(cpu|cuda)/)", "model/backend.c")
}
$4 ~ /^dcmtk\/dcmjpeg\// { only("^dicom/dcmtk_jpeg\\.cpp$", "dicom/dcmtk_jpeg.cpp") }
$4 ~ /^dcmtk\// && $4 !~ /^dcmtk\/dcmjpeg\// { only("^dicom/dcmtk_(shim|jpeg)\\.cpp$", "dicom/dcmtk_shim.cpp") }
$4 ~ /^openjpeg/ { only("^(dicom/(j2k|synth_codec)\\.c$|tests/)", "dicom/j2k.c") }
$4 ~ /^charls\// { only("^dicom/(jls|synth_codec)\\.c$", "dicom/jls.c") }
$4 ~ /^png\.h$/ { only("^(dicom/raster_png\\.c$|preprocess/raster_out\\.c$|train/picture\\.c$|tests/)", "dicom/raster_png.c, preprocess/raster_out.c and train/picture.c") }
$4 ~ /^tiff/ { only("^(dicom/raster_tiff\\.c$|preprocess/raster_out\\.c$|tests/)", "dicom/raster_tiff.c and preprocess/raster_out.c") }
$4 ~ /^opencv/ { only("^preprocess/opencv_shim\\.cpp$", "preprocess/opencv_shim.cpp") }
$4 ~ /^hdf5/ { only("^((preprocess|tests)/|train/maps_h5\\.c$)", "preprocess/ and train/maps_h5.c") }
$4 ~ /^isa-l/ { only("^preprocess/deflate\\.c$", "preprocess/deflate.c") }
$4 ~ /^(dnnl|oneapi)/ { only("^(model|tests)/", "model/") }
$4 ~ /^(yaml\.h|jansson\.h|openssl\/|sqlite3\.h|seccomp\.h|xxhash\.h)/ {
    only("^(core|tests)/", "core/")
}
$4 ~ /^(cublasLt|cudnn)/ { only("^(model/cuda/(gemm_cublaslt\\.c|flash_cudnn\\.c|flash_graph\\.[ch])|tests/cuda_on_cpu/(cublaslt_stand_in|cublaslt_door|test_gemm_choice)\\.c)$", "gemm_cublaslt.c, flash_cudnn.c, flash_graph and what stands in for them") }
$4 ~ /^cuda_/ { only("^(model/cuda/|tests/cuda_on_cpu/)", "model/cuda/") }
$4 ~ /^cairo/ { only("^((eval|tests)/|preprocess/preview\\.c$|train/overlay\\.c$)", "eval/, preprocess/preview.c and train/overlay.c") }
$4 ~ /^pango/ { only("^(eval|tests)/", "eval/") }
{ seen++; if (!file[$1]++) nfiles++ }
END {
    printf "lint: layers: %d includes of %d files follow the include rules, %d findings\n",
        seen, nfiles, bad
    exit bad > 0
}'
status=0
includes | awk -v rooms="$rooms" "$check" || status=1

# A header that includes itself through others: tsort names the loop.
loops=$(includes | awk '$3 == "quoted" && $1 ~ /\.h$/ { print $1, $4 }' | tsort 2>&1 >/dev/null)
if [ -n "$loops" ]; then
    echo "$loops"
    status=1
fi
edges=$(includes | awk '$3 == "quoted" && $1 ~ /\.h$/' | wc -l)
echo "lint: layers: no cycle among $edges includes between headers," \
    "$([ -n "$loops" ] && echo 1 || echo 0) findings"
exit $status
