#!/bin/bash
# Images that the probe writes byte by byte go through other people's encoders into every transfer
# syntax and come back through record_read and pixels_decode. Lossless: sample by sample the source.
# Lossy: within a bound of the source and equal to the encoder's own decoder. The outcome is the
# table "Conformance" in docs/dicom.md: WRITE=1 writes it there, otherwise it must stand there.
# DATA=DIR adds HTJ2K, which no packaged tool writes. ORACLE=pydicom (once with PyPI) decodes the
# same files with pydicom's decoders too.
# shellcheck source-path=SCRIPTDIR/../golden
set -u
export LC_ALL=C.UTF-8
cd "$(dirname "$0")/../.." || exit 1
BUILD=${BUILD:-build}
case $BUILD in /*) ;; *) BUILD=$PWD/$BUILD ;; esac
probe=$BUILD/tests/accept/conformance_probe
doc=docs/dicom.md
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n_bad=0 n_skip=0

ok() { echo "ok $1"; }
bad() {
    echo "not ok $1: $2"
    n_bad=$((n_bad + 1))
}
skip() {
    echo "skip $1: $2"
    n_skip=$((n_skip + 1))
}
# have NAME TOOL...: false after a skip when a tool is missing
have() {
    local name=$1 tool
    shift
    for tool in "$@"; do
        command -v "$tool" >/dev/null && continue
        skip "$name" "$tool is not installed (Debian packages dcmtk, libopenjp2-tools)"
        return 1
    done
}

if ! make -s BUILD="$BUILD" "$probe" >"$work/make" 2>&1; then
    tail -n 20 "$work/make"
    bad conformance_probe "does not build"
    exit 1
fi
cd "$work" || exit 1
mkdir src out
if ! "$probe" sources src >keys; then
    bad sources "the source images cannot be written"
    exit 1
fi
: >list

# ---- the list of comparisons -----------------------------------------------------------------------

# add SYNTAX KEY FILE RESULT ORACLE CHECKS: SYNTAX is "name|end of its UID"
add() {
    local allocated stored sign rest
    IFS=_ read -r allocated stored sign rest <<<"$2"
    [ "$sign" = s ] && sign=signed || sign=unsigned
    printf '%s|%s/%s|%s|%s|%s\t%s\t%s\t%s\t%s\n' "$1" "$allocated" "$stored" "$sign" "$4" "$5" \
        "$2" "$3" "${raw:-src/$2.rawl}" "$6" >>list
}

# tool WORDS...: an encoder or decoder of others; a failure is a failed test, with its last words
tool() {
    "$@" >tool.log 2>&1 && return
    bad "tool_$1" "failed on: $* ($(tail -n 1 tool.log | cut -c1-120))"
    return 1
}

# lossless NAME SYNTAX TOOL...: every source through the tool; %N becomes 1 to 7 in turn
lossless() {
    local name=$1 syntax=$2 key out n=0 words
    shift 2
    while read -r key; do
        out=out/${name}_$key.dcm
        words=("${@//%N/$((n++ % 7 + 1))}")
        # several fragments for a large image
        case $1-$key in dcmconv*) ;; *512x400) words+=(+fs 8) ;; esac
        tool "${words[@]}" "src/$key.dcm" "$out" &&
            add "$syntax" "$key" "$out" equal source lut,exact
    done <"${keys:-keys}"
}

# fragment FILE: its only fragment into the file stream
fragment() {
    tool dcmdump +W . "$1" && mv "${1##*/}.1.raw" stream
}

# ---- DCMTK -----------------------------------------------------------------------------------------

uncompressed() {
    local key
    have uncompressed dcmconv || return
    lossless implicit 'Implicit VR Little Endian|-' dcmconv +ti
    lossless explicit 'Explicit VR Little Endian|.1' dcmconv +te
    lossless deflated 'Deflated Explicit VR Little Endian|.1.99' dcmconv +td
    lossless big 'Explicit VR Big Endian|.2' dcmconv +tb
    # by way of implicit VR the 8-bit samples become words, whose bytes big endian swaps
    grep '^8_' keys >bytes
    while read -r key; do
        tool dcmconv +tb "out/implicit_$key.dcm" "out/bigwords_$key.dcm" &&
            add 'Explicit VR Big Endian|.2' "$key" "out/bigwords_$key.dcm" equal source lut,exact
    done <bytes
}

# lossy_jpeg NAME SYNTAX OPTION DEPTH...: the stream of one image under the headers of all. With +q 100
# every quantiser is 1: each of 64 coefficients of an orthonormal transform is off by 1/2 at most, so a
# sample is off by sqrt(64)/2 = 4; integer arithmetic and rounding, there and back, get 2 more.
# A stream has no sign; under a header that says signed, its decoder alone is the measure.
lossy_jpeg() {
    local name=$1 syntax=$2 option=$3 depth key out
    shift 3
    for depth in "$@"; do
        for key in "${depth}_u_m2_none_67x45" "${depth}_u_m2_none_512x400"; do
            out=out/${name}_$key.dcm
            tool dcmcjpeg "$option" +q 100 +fs 8 "src/$key.dcm" "$out" &&
                tool dcmdjpeg "$out" "$out.plain" &&
                add "$syntax" "$key" "$out" 'within 6 of the source' 'source; dcmdjpeg equal' \
                    "lossy,lut,near:6,dcm:$out.plain"
        done
        key=${depth}_u_m2_none_67x45
        fragment "out/${name}_$key.dcm" || continue
        grep "^${depth}_[us]_m[12]_.*_67x45" keys | grep -vx "$key" >others
        while read -r key; do
            out=out/${name}_$key.dcm
            tool "$probe" wrap "1.2.840.10008.1.2${syntax#*|}" 1 "$key" stream "$out" || continue
            tool dcmdjpeg "$out" "$out.plain" || continue
            case $key in
            *_u_*) add "$syntax" "$key" "$out" 'within 6 of the source' 'source; dcmdjpeg equal' \
                "lossy,lut,near:6,dcm:$out.plain" ;;
            *) add "$syntax" "$key" "$out" 'equal to dcmdjpeg' dcmdjpeg \
                "lossy,lut,dcm:$out.plain" ;;
            esac
        done <others
    done
}

jpeg() {
    have jpeg dcmcjpeg dcmdjpeg dcmdump || return
    lossy_jpeg baseline 'JPEG baseline (process 1)|.4.50' +eb 8_8
    lossy_jpeg extended 'JPEG extended (processes 2, 4)|.4.51' +ee 8_8 16_12
    lossy_jpeg spectral 'JPEG spectral selection (6, 8)|.4.53' +es 8_8 16_12
    lossy_jpeg progressive 'JPEG progressive (10, 12)|.4.55' +ep 8_8 16_12
    lossless jll 'JPEG lossless (14), predictors 1 to 7|.4.57' dcmcjpeg +el +sv %N
    lossless sv1 'JPEG lossless SV1|.4.70' dcmcjpeg +e1
}

# A JPEG-LS stream has no sign. dcmcjpls stops at signed samples that do not fill their word, and
# refuses signed ones with a loss (the bound would not hold around zero): the stream of the same bits
# without a sign goes under the signed header.
jpeg_ls() {
    local key out syntax='JPEG-LS lossless|.4.80'
    have jpeg_ls dcmcjpls dcmdjpls dcmdump || return
    grep -v '16_1[024]_s' keys >whole
    keys=whole lossless jls "$syntax" dcmcjpls +el
    grep '16_1[024]_s' keys >part
    while read -r key; do
        out=out/jls_$key.dcm
        tool dcmcjpls +el "src/$key.bits.dcm" "$out.bits" && fragment "$out.bits" &&
            tool "$probe" wrap 1.2.840.10008.1.2.4.80 0 "$key" stream "$out" &&
            add "$syntax" "$key" "$out" equal source lut,exact
    done <part
    grep -v _s_ keys >without_sign
    while read -r key; do
        out=out/near_$key.dcm
        tool dcmcjpls +en +md 2 +fs 8 "src/$key.dcm" "$out" &&
            tool dcmdjpls "$out" "$out.plain" &&
            add 'JPEG-LS near-lossless|.4.81' "$key" "$out" 'within 2 of the source' \
                'source; dcmdjpls equal' "lossy,lut,near:2,dcm:$out.plain"
    done <without_sign
    grep '_s_.*_67x45' keys >signed
    while read -r key; do
        out=out/near_$key.dcm
        tool dcmcjpls +en +md 2 "src/$key.bits.dcm" "$out.bits" && fragment "$out.bits" &&
            tool "$probe" wrap 1.2.840.10008.1.2.4.81 1 "$key" stream "$out" &&
            tool dcmdjpls "$out" "$out.plain" &&
            add 'JPEG-LS near-lossless|.4.81' "$key" "$out" 'equal to dcmdjpls' dcmdjpls \
                "lossy,lut,dcm:$out.plain"
    done <signed
}

rle() {
    have rle dcmcrle || return
    lossless rle 'RLE Lossless|.5' dcmcrle
}

# ---- OpenJPEG --------------------------------------------------------------------------------------

# stream KEY SIGN FORMAT OPTIONS...: into the file stream.FORMAT
stream() {
    local key=$1 sign=$2 format=$3 stored size from=src/$1.rawl
    shift 3
    IFS=_ read -r _ stored _ _ _ size <<<"$key"
    [ "$sign" = u ] && from=src/$key.bits.rawl
    tool opj_compress -i "$from" -o "stream.$format" -F "${size/x/,},1,$stored,$sign" "$@"
}

# MONOCHROME1: in JP2 boxes, MONOCHROME2: bare. With a VOI LUT: the stream says unsigned whatever the
# header says. Large: tiles, another progression, markers between packets.
# Lossy: 45 dB are asked for; the encoder stops at the first cut beyond its own estimate, 3 dB cover it.
jpeg_2000() {
    local key out format sign more
    have jpeg_2000 opj_compress opj_decompress || return
    while read -r key; do
        case $key in *_m1_*) format=jp2 ;; *) format=j2k ;; esac
        case $key in *_u_* | *_voi_*) sign=u ;; *) sign=s ;; esac
        case $key in *512x400) more=(-t "200,150" -p RPCL -SOP -EPH -PLT) ;; *) more=() ;; esac
        out=out/j2k_$key.dcm
        stream "$key" $sign $format "${more[@]}" &&
            tool "$probe" wrap 1.2.840.10008.1.2.4.90 0 "$key" stream.$format "$out" &&
            add 'JPEG 2000 lossless|.4.90' "$key" "$out" equal source lut,exact
        case $key in *_s_*) sign=s ;; esac
        out=out/j2klossy_$key.dcm
        stream "$key" $sign $format -I -q 45 "${more[@]}" &&
            tool opj_decompress -i stream.$format -o "$out.rawl" &&
            tool "$probe" wrap 1.2.840.10008.1.2.4.91 1 "$key" stream.$format "$out" &&
            add 'JPEG 2000|.4.91' "$key" "$out" '42 dB from the source' \
                'source; opj_decompress equal' "lossy,lut,psnr:42,raw:$out.rawl"
    done <keys
}

htj2k() {
    local key=16_16_s_m2_none_512x512 from=${DATA:-}/conformance out ts
    if [ -z "${DATA:-}" ] || [ ! -r "$from/htj2k_CT1.j2c" ]; then
        skip htj2k "DATA=DIR with conformance/htj2k_CT1.j2c is not given"
        return
    fi
    for ts in 201 203; do
        out=out/htj2k_$ts.dcm
        tool "$probe" wrap 1.2.840.10008.1.2.4.$ts 0 $key "$from/htj2k_CT1.j2c" "$out" || continue
        raw=$from/htj2k_CT1.RAW add "HTJ2K$([ $ts = 201 ] && echo ' lossless')|.4.$ts" $key "$out" \
            equal 'published samples' lut,exact
    done
}

uncompressed
jpeg
jpeg_ls
jpeg_2000
htj2k
rle

# ---- a second oracle -------------------------------------------------------------------------------

# Reads the list, decodes its files with pydicom's decoders and prints the comparisons with them.
# Lossy streams: integer transforms are within two grey levels of the exact one, so two of them are
# within four of each other.
oracle_py='
import sys
import numpy, pydicom
from pydicom.pixels import pixel_array
for line in sys.stdin:
    row, key, path, raw, checks = line.rstrip("\n").split("\t")
    file = pydicom.dcmread(path)
    encapsulated = file.file_meta.TransferSyntaxUID.is_encapsulated
    lossy = "lossy" in checks.split(",")
    for plugin in ("pylibjpeg", "gdcm") if encapsulated else ("",):
        try:
            samples = pixel_array(file, raw=True, decoding_plugin=plugin)
        except Exception as e:
            print(plugin, path, str(e).splitlines()[0], file=sys.stderr)
            continue
        out = path + "." + (plugin or "numpy")
        samples.astype(samples.dtype.newbyteorder("<")).tofile(out)
        wanted = ("lossy,raw4:" if lossy else "raw:") + out
        print("pydicom " + (plugin or "numpy"), key, path, raw, wanted, sep="\t")
'

second_oracle() {
    local venv=$BUILD/conformance-venv name
    if [ "${ORACLE:-}" != pydicom ]; then
        echo "# pydicom is not asked: ORACLE=pydicom is not set"
        return
    fi
    if ! "$venv/bin/python" -c 'import pydicom, numpy, openjpeg, libjpeg, gdcm' 2>/dev/null &&
        ! { python3 -m venv "$venv" && "$venv/bin/pip" install -q pydicom==3.0.2 numpy pylibjpeg \
            pylibjpeg-libjpeg pylibjpeg-openjpeg pylibjpeg-rle python-gdcm; } >pip.log 2>&1; then
        skip pydicom "its packages cannot be installed ($(tail -n 1 pip.log))"
        return
    fi
    "$venv/bin/python" -W ignore -c "$oracle_py" <list >list2 2>refused
    if ! "$probe" check <list2 >verdicts2 || [ ! -s verdicts2 ]; then
        bad pydicom "gave nothing to compare ($(tail -n 1 refused))"
        return
    fi
    cut -f2 verdicts2 | sort -u | cut -d' ' -f2 >decoders
    while read -r name; do
        if grep -q "^no.pydicom $name" verdicts2; then
            bad "pydicom_$name" "$(grep -c "^no.pydicom $name" verdicts2) differ, first $(
                grep -m 1 "^no.pydicom $name" verdicts2 | cut -f3-)"
            grep "^no.pydicom $name" verdicts2 | head -n 20 | sed 's/^/    /'
        else
            ok "pydicom_$name"
        fi
        echo "# $name agrees on $(grep -c "^ok.pydicom $name" verdicts2), refuses $(grep -c "^$name " refused)"
    done <decoders
}

# ---- verdicts and the table ------------------------------------------------------------------------

if ! "$probe" check <list >verdicts 2>check.err || [ ! -s verdicts ]; then
    bad check "the probe stopped after $(wc -l <verdicts) of $(wc -l <list) files: $(tail -n 1 check.err)"
fi
second_oracle

# A row of the table: syntax, UID, bits, sign, then what its files have in common.
awk -F '\t' '
    !($2 in n) { order[++rows] = $2 }
    {
        n[$2]++
        split($3, k, "_")
        seen[$2, k[4]] = 1
        if (!seen[$2, k[5]]++) luts[$2]++
    }
    $1 != "ok" && !failed[$2]++ { why[$2] = $3 ": " $4 }
    END {
        for (i = 1; i <= rows; i++) {
            r = order[i]
            split(r, f, "|")
            name = f[1] "_" f[3] "_" f[4]
            photometric = ((r, "m1") in seen ? "1 " : "") ((r, "m2") in seen ? "2" : "")
            gsub(/[^A-Za-z0-9]+/, "_", name)
            if (failed[r]) print "bad\t" name "\t" failed[r] " of " n[r] " differ, first " why[r]
            else print "ok\t" name "\t| " f[1] " | " f[2] " | " f[3] " | " f[4] " | " photometric " | " \
                luts[r] " | " n[r] " | " f[5] " | " f[6] " |"
        }
    }' verdicts >rows
while IFS=$'\t' read -r verdict name text; do
    if [ "$verdict" = ok ]; then ok "$name"; else bad "$name" "$text"; fi
done <rows
echo "# $(grep -c '^ok' verdicts) of $(wc -l <list) files agree"
grep -P '^ok\t' rows | cut -f3 >table

from='<!-- conformance table: begin -->' to='<!-- conformance table: end -->'
cd "$OLDPWD" || exit 1
sed -n "/^$from\$/,/^$to\$/p" "$doc" | grep '^| ' | tail -n +2 >"$work/committed"
if [ "${WRITE:-0}" = 1 ]; then
    if [ $((n_bad + n_skip)) -gt 0 ]; then
        bad table "is not written: something failed or was skipped"
    else
        awk -v from="$from" -v to="$to" -v table="$work/table" '
            $0 == to {
                print "| syntax | UID 1.2.840.10008.1.2... | bits | sign | photometric | LUT cases | images | result | oracle |"
                print "|---|---|---|---|---|---|---|---|---|"
                while ((getline line <table) > 0) print line
                inside = 0
            }
            !inside
            $0 == from { inside = 1 }' "$doc" >"$work/doc" && cat "$work/doc" >"$doc"
        echo "# $doc holds $(wc -l <"$work/table") rows"
    fi
elif [ $((n_bad + n_skip)) -eq 0 ]; then
    if diff "$work/committed" "$work/table" >"$work/diff"; then ok table; else
        bad table "$doc differs from what was found; WRITE=1 writes it"
        head -n 10 "$work/diff" | sed 's/^/    /'
    fi
elif missing=$(grep -vxFf "$work/committed" "$work/table"); then
    bad table "$doc lacks $(head -n 1 <<<"$missing")"
else
    ok table_as_far_as_made
fi
exit $((n_bad > 0))
