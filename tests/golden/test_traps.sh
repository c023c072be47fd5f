#!/bin/bash
# The ten toy traps of mammography pipelines: traps.c and traps_people.c write small archives byte by byte, send them
# through the program and compare with what the standard's formulas give. ONLY=NN runs one of them.
# shellcheck source-path=SCRIPTDIR
. "$(dirname "$0")/lib.sh"
bin=$BUILD/tests/golden
if ! make -s -C "$top" BUILD="$BUILD" "$bin/traps" "$bin/traps_people" >"$work/make" 2>&1; then
    tail -n 20 "$work/make"
    bad traps "the helpers do not build"
    exit 1
fi
"$bin/traps" "$mammovit" "$work" "$top/tests/fixtures/traps" ${ONLY:+"$ONLY"} || n_bad=1
"$bin/traps_people" "$mammovit" "$work" ${ONLY:+"$ONLY"} || n_bad=1
exit $((n_bad > 0))
