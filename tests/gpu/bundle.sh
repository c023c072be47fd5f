#!/bin/bash
# Packs what gpu-check.sh needs into one folder that runs on a machine with a card and nothing of ours:
# the program and its tests over one shared library (and the same library with the kernels on the CPU),
# the libraries that these want, the recorded numbers, a small prepared cohort. BUILD/gpu holds the
# programs (Makefile). The same sources give the same bytes. Fails above 45 MiB.
# usage: bundle.sh FOLDER CUDA(0|1)
set -eu
export LC_ALL=C TZ=UTC
cd "$(dirname "$0")/../.."
build=${BUILD:-build} out=$1 cuda=$2
most=$((45 << 20))
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
pay=$stage/payload

sys=$stage/system boot=$stage/boot
mkdir -p "$pay"/{bin,lib,shim,tests/bin,tests/fixtures} "$sys" "$boot"
cp "$build/gpu/bin/mammovit" "$pay/bin/"
cp "$build/gpu/lib/libmammovit.so" "$pay/lib/"
cp "$build/gpu/shim/libmammovit.so" "$pay/shim/"
cp "$build"/gpu/tests/test_* "$build/gpu/tests/parity" "$pay/tests/bin/"
cp -r tests/fixtures/deit tests/fixtures/nets "$pay/tests/fixtures/"
find "$pay/tests" \( -name '*.d' -o -name '*.py' -o -name '*.md' -o -name '*.h' \) -delete

# what the loader would take; the C library apart: it is used only where the machine's own is too old
libraries() {
    LD_LIBRARY_PATH="$pay/lib" ldd "$@" | awk '$3 ~ /^\// { print $1, $3 } $1 ~ /^\// && $1 !~ /:$/ { print $1, $1 }' | sort -u
}
libraries "$pay/bin/mammovit" "$pay"/tests/bin/* "$pay"/shim/libmammovit.so | while read -r name path; do
    case ${name##*/} in
    ld-linux*) cp -L "$path" "$boot/" ;;
    libmammovit.so) ;;
    libc.so.6 | libm.so.6 | libdl.so.2 | librt.so.1 | libpthread.so.0 | libresolv.so.2) cp -L "$path" "$boot/$name" ;;
    *) cp -L "$path" "$sys/$name" ;;
    esac
done
# opened by name by NVIDIA's libraries, which were made for older C libraries
at=$(ldconfig -p | awk '$1 == "libc.so.6" { print $NF; exit }')
for name in libdl.so.2 librt.so.1 libpthread.so.0; do
    [ -e "$boot/$name" ] || cp -L "${at%/*}/$name" "$boot/"
done
chmod -R u+w "$stage"
find "$pay" "$sys" -type f \( -name '*.so*' -o -path '*/bin/*' \) -exec strip --strip-unneeded {} + 2>/dev/null || true

# a cohort of make-believe women, with a known key so that it has the same bytes each time
mkdir -p "$stage/demo/out/store"
(umask 077 && printf '%032d' 1 >"$stage/demo/out/store/key")
{
    "$build/mammovit" demo-archive "$stage/demo/data" --patients 12 --seed 1
    "$build/mammovit" run -c tests/gpu/train.yaml --to split --set "run.archive=$stage/demo/data/archive" \
        --set "run.labels=$stage/demo/data/clinical.csv" --set "run.dir=$stage/demo/out" --seed 1
} >"$stage/log" 2>&1 || {
    tail -n 5 "$stage/log" >&2
    exit 1
}
mkdir -p "$pay/cohort"
(cd "$stage/demo/out" && find . -name '*.h5' -exec cp --parents {} "$pay/cohort/" \;)
cp tests/gpu/train.yaml "$pay/cohort/"

rm -rf "$out"
mkdir -p "$out"
cp tests/gpu/gpu-check.sh tests/gpu/torch_bench.py tests/gpu/parity.py "$out/"
cp -L "$(command -v xz)" "$(ldd "$(command -v xz)" | awk '/liblzma/ { print $3 }')" "$boot/"
packed() { tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rwX,go=rX -cf - .; }
squeezed() { xz -T1 --x86 --lzma2=preset="$1"; }
packed "$boot" | gzip -9n >"$out/boot.tar.gz"
packed "$pay" | squeezed 6 >"$out/payload.tar.xz"
# the libraries of the system take most of the time and seldom change
key=$(packed "$sys" | sha256sum)
if [ "$(cat "$build/gpu/system.key" 2>/dev/null)" != "$key" ]; then
    packed "$sys" | squeezed 3 >"$build/gpu/system.tar.xz"
    echo "$key" >"$build/gpu/system.key"
fi
cp "$build/gpu/system.tar.xz" "$out/"
{
    echo "# mammovit $(cat VERSION) $(cat "$build/git_id"), cuda $cuda"
    (cd "$out" && find . -type f ! -name MANIFEST -print0 | sort -z | xargs -0 sha256sum)
    for part in payload system; do
        (cd "$stage/$part" && find . -type f -print0 | sort -z | xargs -0 sha256sum | sed "s|  \./|  $part/|")
    done
} >"$out/MANIFEST"
size=$(find "$out" -type f -printf '%s\n' | awk '{ s += $1 } END { print s }')
echo "$out: $size bytes, $(grep -cE '  (payload|system)/' "$out/MANIFEST") files in it"
if [ "$size" -gt "$most" ]; then
    echo "bundle: $size bytes, at most $most (45 MiB) are allowed" >&2
    exit 1
fi
