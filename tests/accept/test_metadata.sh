#!/bin/bash
# Every attribute of every real DICOM file under DATA (mg_dicom, conformance), read by the program and by
# an independent reader on pydicom (metadata_peer.py). A difference without a line in the table below
# fails. Skips without DATA or python3-pydicom.
# shellcheck source-path=SCRIPTDIR/../golden
. "$(dirname "$0")/../golden/lib.sh"
peer=$top/tests/accept/metadata_peer.py
DATA=${DATA:-}
if [ ! -d "$DATA/mg_dicom" ]; then
    skip metadata "DATA=DIR with mg_dicom is not given"
    exit 0
fi
if ! "$peer" --check 2>/dev/null; then
    skip metadata "python3-pydicom is not installed"
    exit 0
fi

# file, fact, why they differ; * is any text
cat >"$work/known" <<'TABLE'
no-pixel-data.dcm	samples	no image module: one sample is the default of an absent SamplesPerPixel
UN_sequence.dcm	samples	as above
meta_missing_tsyntax.dcm	samples	as above
nested_priv_SQ.dcm	samples	as above
no_meta_group_length.dcm	samples	as above
rtplan_truncated.dcm	samples	as above
test-SR.dcm	samples	as above
no-pixel-data.dcm	high_bit	no image module: HighBit is BitsStored - 1, and that is absent too
UN_sequence.dcm	high_bit	as above
meta_missing_tsyntax.dcm	high_bit	as above
nested_priv_SQ.dcm	high_bit	as above
no_meta_group_length.dcm	high_bit	as above
rtplan_truncated.dcm	high_bit	as above
test-SR.dcm	high_bit	as above
meta_missing_tsyntax.dcm	transfer_syntax	group 0002 names none; the program tells which one the bytes are in
no-pixel-spacing.dcm	software	all versions together are cut after 64 bytes; for people to read, decides nothing
fodicom_GH1376_Hologic_tomo_slice_as_CT_TRUNCATED.dcm	software	as above
fodicom_GH1376_Hologic_tomo_slice_as_CT_TRUNCATED.dcm	study_id	longer than the 16 characters of SH, cut there; decides nothing
TABLE
mapfile -t files < <(find "$DATA/mg_dicom" "$DATA/conformance" -name '*.dcm' | sort)
if "$peer" "$mammovit" "$work/known" "${files[@]}" >"$work/differences"; then
    sed 's/^/    /' "$work/differences"
    ok metadata
else
    sed 's/^/    /' "$work/differences"
    bad metadata "$(tail -n 1 "$work/differences")"
fi
exit $((n_bad > 0))
