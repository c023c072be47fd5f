#!/bin/bash
# A report opened in headless Chromium without a network, its HTML read by tidy, its PDF checked by
# qpdf and drawn by pdftoppm. Pictures stay in BUILD/report-pictures for a look.
# Needs chromium, chromedriver and python3; parts whose tool is missing are skipped with a reason.
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.." || exit 1
build=${BUILD:-build}
pictures=$build/report-pictures
top=$(mktemp -d) || exit 1
trap 'rm -rf "$top"' EXIT
mkdir -p "$pictures"
rm -f "$pictures"/*

ok() { echo "ok $1"; }
bad() { echo "not ok $1: $2"; }

# 500 exams of 400 women; scores and labels from a small generator, so that the file is the same
# everywhere
table() {
    awk -v who="$1" -v part="$2" -v other="${3:-0}" 'function u() { s = (s * 16807) % 2147483647; return s / 2147483647 }
    BEGIN {
        s = 77 + length(part)
        print "exam_id,patient_id,image_id,laterality,view,score,split,y,exam_day,vendor,site,age,density,T,E,recall"
        split("HOLOGIC SIEMENS GE", vendor, " ")
        for (i = 0; i < 500; i++) {
            y = u() < 0.12
            base = 0.1 + 0.4 * u() + 0.12 * y
            v = vendor[1 + int(3 * u())]; age = 42 + int(30 * u()); d = substr("ABCD", 1 + int(4 * u()), 1)
            read = y ? u() < 0.7 : u() < 0.08
            base += other * (u() - 0.5)
            t = y ? 2 * u() : 1 + 5 * u()
            for (k = 0; k < 4; k++)
                printf "%s%03d,%sp%03d,%si%03d%d,%s,%s,%.5f,%s,%d,%d,%s,%s,%d,%s,%.3f,%d,%d\n", who, i, who,
                    i % 400, who, i, k, k % 2 ? "L" : "R", k < 2 ? "CC" : "MLO", base + 0.1 * u(), part,
                    y, i, v, i % 2 ? "north" : "south", age, d, t, y, read
        }
    }'
}
# exam pages: four grey views with a map each, of two exams
pages() {
    python3 - "$1" <<'EOF'
import json, os, struct, sys, zlib
folder = sys.argv[1]
os.makedirs(folder)
def png(name, w, h):
    rows = b"".join(b"\0" + bytes((x * 255 // w + y) % 256 for x in range(w)) for y in range(h))
    out = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", struct.pack(">IIBBBBB", w, h, 8, 0, 0, 0, 0)),
                       (b"IDAT", zlib.compress(rows)), (b"IEND", b"")):
        out += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    open(os.path.join(folder, name), "wb").write(out)
layer = {"map": "rollout", "title": "What reached the score", "shows": "What it shows.",
         "plain": "less", "patches": ["0.1", ".1.", "11."],
         "classes": [{"label": "more", "colour": "#3012be", "hatched": False},
                     {"label": "not looked at", "colour": "#d55e00", "hatched": True}]}
exams = []
for k in range(2):
    views = []
    for v, w in (("RCC", 90), ("LCC", 120), ("RMLO", 100), ("LMLO", 110)):
        png(f"{k}{v}.png", w, 160)
        views.append({"view": v, "file": f"{k}{v}.png", "score": 0.3, "mm_per_px": 1.0,
                      "chest_wall": "right" if v[0] == "R" else "left", "layers": [layer]})
    exams.append({"exam_id": f"e{k:03}", "why": "random", "views": views})
json.dump({"format": "mammovit.pages/2", "exams": exams}, open(os.path.join(folder, "index.json"), "w"))
EOF
}
mkdir "$top/test"
table e test >"$top/test/predictions.csv"
if command -v python3 >/dev/null; then pages "$top/test/pages"; fi
table v val >"$top/val.csv"
table e test 0.2 >"$top/before.csv"
if ! "$build/mammovit" report "$top/test" --val "$top/val.csv" --compare "previous=$top/before.csv" --final -o "$top/report" \
    --set eval.bootstrap=200 >"$top/log" 2>&1; then
    bad report "$(tail -n 1 "$top/log")"
    exit 1
fi
ok report

if command -v tidy >/dev/null; then
    tidy -q -e "$top/report/report.html" >"$top/log" 2>&1
    if [ $? -lt 2 ]; then ok tidy; else bad tidy "$(grep -m 1 Error "$top/log")"; fi # 1: warnings
else
    echo "skip tidy: not installed"
fi

if command -v qpdf >/dev/null; then
    if qpdf --check "$top/report/report.pdf" >"$top/log" 2>&1; then
        ok qpdf
    else
        bad qpdf "$(tail -n 1 "$top/log")"
    fi
else
    echo "skip qpdf: not installed"
fi

if command -v pdftoppm >/dev/null && command -v pdffonts >/dev/null; then
    pdftoppm -r 60 -png "$top/report/report.pdf" "$pictures/page"
    pages=$(pdfinfo "$top/report/report.pdf" | sed -n 's/^Pages: *//p')
    drawn=$(find "$pictures" -name 'page-*.png' | wc -l)
    if [ "$pages" -ge 3 ] && [ "$drawn" -eq "$pages" ]; then
        ok pdf_pages
    else
        bad pdf_pages "$drawn of $pages pages drawn"
    fi
    # a page with hardly a word on it is a fault of the layout
    thin=""
    for n in $(seq 1 "$pages"); do
        words=$(pdftotext -f "$n" -l "$n" "$top/report/report.pdf" - | wc -w)
        [ "$words" -ge 25 ] || thin="$thin $n"
    done
    if [ -z "$thin" ]; then ok pdf_no_empty_page; else bad pdf_no_empty_page "pages$thin"; fi
    loose=$(pdffonts "$top/report/report.pdf" | awk 'NR > 2 && $(NF - 4) != "yes"' | wc -l)
    if [ "$loose" -eq 0 ]; then ok pdf_fonts; else bad pdf_fonts "$loose fonts are not embedded"; fi
    if pdfinfo "$top/report/report.pdf" | grep -q '^Title: *..'; then
        ok pdf_title
    else
        bad pdf_title "the PDF has no title"
    fi
else
    echo "skip pdf_pages: poppler-utils is not installed"
fi

driver=$(command -v chromedriver) && browser=$(command -v chromium || command -v google-chrome)
if [ -z "${driver:-}" ] || [ -z "${browser:-}" ] || ! command -v python3 >/dev/null; then
    echo "skip browser: chromium, chromedriver or python3 is not installed"
    exit 0
fi
# off: a network of its own with nothing but the loopback, where the kernel lets us
off=()
if unshare -rn sh -c 'ip link set lo up' 2>/dev/null; then
    off=(unshare -rn sh -c 'ip link set lo up; exec "$@"' sh)
fi
"${off[@]}" python3 tests/accept/report_browser.py "$driver" "$browser" "$top/report/report.html" \
    "$pictures"
