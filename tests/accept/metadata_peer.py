#!/usr/bin/python3
"""A second reader of the attributes that the program records, on pydicom, for test_metadata.sh.

--check               exits with 0 if pydicom is there
PROGRAM TABLE FILE... reads every file on its own and compares with `PROGRAM show FILE --json
                      --identifiers`. One line per difference: FILE, fact, what each one says. TABLE
                      holds the explained ones: file, fact and reason with tabs between them, `*`
                      stands for any text. Exit 1 if a difference is not explained.
The rules are those of docs/dicom.md, "Attributes", in this file's own words.
"""
import datetime
import fnmatch
import json
import math
import os
import re
import subprocess
import sys
import warnings

import pydicom
from pydicom.multival import MultiValue

warnings.simplefilter("ignore")
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

VIEW_CODES = {}
for name, sct, srt in [
    ("CC", "399162004", "R-10242"), ("MLO", "399368009", "R-10226"), ("ML", "399260004", "R-10224"),
    ("LM", "399352003", "R-10228"), ("LMO", "399099002", "R-10230"), ("XCCL", "399192008", "R-1024A"),
    ("XCCM", "399101009", "R-1024B"), ("FB", "399196006", "R-10244"), ("SIO", "399188001", "R-102D0"),
    ("ISO", "441555000", "R-40AAA"), ("SPECIMEN", "127457009", "G-8310")]:
    VIEW_CODES[sct] = VIEW_CODES[srt] = name
VENDORS = [("HOLOGIC", "HOLOGIC"), ("LORAD", "HOLOGIC"), ("GE", "GE"), ("SIEMENS", "SIEMENS"),
           ("FUJI", "FUJI"), ("PHILIPS", "PHILIPS"), ("SECTRA", "PHILIPS"), ("IMS", "IMS"),
           ("GIOTTO", "IMS"), ("PLANMED", "PLANMED"), ("KONICA", "KONICA"), ("CARESTREAM", "CARESTREAM"),
           ("KODAK", "CARESTREAM"), ("AGFA", "AGFA")]
MODELS = [("SENOGRAPHE", "GE"), ("MAMMOMAT", "SIEMENS"), ("SELENIA", "HOLOGIC"), ("LORAD", "HOLOGIC")]
MG_INTENT = {"1.2.840.10008.5.1.4.1.1.1.2": "presentation", "1.2.840.10008.5.1.4.1.1.1.2.1": "processing",
             "1.2.840.10008.5.1.4.1.1.1.1": "presentation", "1.2.840.10008.5.1.4.1.1.1.1.1": "processing"}


def parts(ds, name):
    """All values of an attribute as trimmed texts; [] where it is absent or empty."""
    try:
        value = ds[name].value if name in ds else None
    except Exception:  # an element that pydicom cannot convert says nothing
        return []
    if value is None or value == "" or isinstance(value, pydicom.Sequence):
        return []
    many = isinstance(value, (MultiValue, list, tuple))
    values = [str(v).strip(" \0") if v is not None else "" for v in (value if many else [value])]
    return values if any(values) else []


def text(ds, name, at=0):
    values = parts(ds, name)
    return values[at] if at < len(values) else ""


def word(ds, name, at=0):
    return text(ds, name, at).upper()


def number(value):
    try:
        return float(value.replace(",", "."))
    except ValueError:
        return None


def item(ds, name, at=0):
    """An item of a sequence, or an empty data set."""
    try:
        items = ds[name].value if name in ds else []
        return items[at] if items and len(items) > at else pydicom.Dataset()
    except Exception:
        return pydicom.Dataset()


class Header:
    def __init__(self, ds):
        self.ds = ds
        self.groups = [item(ds, "PerFrameFunctionalGroupsSequence"), item(ds, "SharedFunctionalGroupsSequence")]
        self.meta = getattr(ds, "file_meta", None) or pydicom.Dataset()

    def level(self, macro, *names):
        """Where an attribute is described for frame 1: per frame, shared, top level."""
        for group in self.groups:
            inner = item(group, macro)
            if any(parts(inner, n) or n in inner and inner[n].VR == "SQ" for n in names):
                return inner
        return self.ds

    def any(self, macro, name):
        return parts(self.level(macro, name), name)


def date_of(value):
    m = re.match(r"^(\d{4})[.-]?(\d{2})[.-]?(\d{2})", value)
    try:
        day = datetime.date(*map(int, m.groups())) if m else None
    except ValueError:
        return None
    return day if day and 1950 <= day.year <= 2098 else None


def exam_day(h):
    group = next((item(g, "FrameContentSequence") for g in h.groups
                  if parts(item(g, "FrameContentSequence"), "FrameAcquisitionDateTime")), pydicom.Dataset())
    for name, ds in [("AcquisitionDate", h.ds), ("AcquisitionDateTime", h.ds),
                     ("FrameAcquisitionDateTime", group), ("ContentDate", h.ds), ("StudyDate", h.ds),
                     ("SeriesDate", h.ds)]:
        day = date_of(text(ds, name))
        if day:
            return day, name
    return None, ""


def seconds(h):
    for name, skip in [("AcquisitionTime", 0), ("AcquisitionDateTime", 8), ("ContentTime", 0)]:
        m = re.match(r"^(\d{2}):?(\d{2})?:?(\d{2})?", text(h.ds, name)[skip:])
        if m:
            a, b, c = (int(x or 0) for x in m.groups())
            return str(a * 3600 + b * 60 + c)
    return ""


def age(h, day):
    m = re.match(r"^(\d{1,3})([YMWD])$", word(h.ds, "PatientAge"))
    if m:
        years = int(m[1]) * {"Y": 1, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}[m[2]]
        if 1 <= years <= 130:
            return str(int(years))
    birth = re.match(r"^(\d{4})(\d{2})(\d{2})$", text(h.ds, "PatientBirthDate"))
    if birth and day and birth[0] > "19000101":
        y, mo, d = map(int, birth.groups())
        years = day.year - y - ((day.month, day.day) < (mo, d))
        return str(years) if 1 <= years <= 130 else ""
    return ""


def words_of(value):
    return re.findall(r"[A-Z0-9]+", value.upper())


def side_of_words(value):
    found = set()
    for w in words_of(value):
        m = re.match(r"^([LR])(CC|MLO|ML|LM|XCCL|XCCM)?$", w)
        if m:
            found.add(m[1])
        elif w in ("LEFT", "RIGHT"):
            found.add(w[0])
    return found.pop() if len(found) == 1 else ""


def side(h):
    frame = h.any("FrameAnatomySequence", "FrameLaterality")
    for name, value in [("ImageLaterality", word(h.ds, "ImageLaterality")),
                        ("FrameLaterality", frame[0].upper() if frame else ""),
                        ("Laterality", word(h.ds, "Laterality"))]:
        if value in ("L", "R", "B"):
            return value, name
        if value == "U":
            return "", name
    for name in ("ViewPosition", "SeriesDescription", "ProtocolName"):
        value = side_of_words(text(h.ds, name))
        if value:
            return value, name
    column = word(h.ds, "PatientOrientation", 1)
    if word(h.ds, "PatientOrientation") in ("A", "P") and re.match("^[HF]?[LR]$", column):
        return ("R" if "L" in column else "L"), "PatientOrientation"
    return "", ""


def view(h):
    code = item(h.ds, "ViewCodeSequence")
    if text(code, "CodeValue") in VIEW_CODES:
        return VIEW_CODES[text(code, "CodeValue")], "ViewCodeSequence"
    for name in ("ViewPosition", "SeriesDescription", "ProtocolName"):
        for w in words_of(text(h.ds, name)):
            m = re.match(r"^[LR]?(CC|MLO|ML|LM|LMO|XCCL|XCCM|FB|SIO|ISO)$", w)
            if m:
                return m[1], name
    row, column = word(h.ds, "PatientOrientation"), word(h.ds, "PatientOrientation", 1)
    if row in ("A", "P") and re.match("^[HF]?[LR]$", column):
        return ("CC" if len(column) == 1 else "MLO"), "PatientOrientation"
    return "", ""


def spacing(h):
    factor = number(text(h.ds, "EstimatedRadiographicMagnificationFactor")) or 1
    for name, values in [("ImagerPixelSpacing", parts(h.ds, "ImagerPixelSpacing")),
                         ("PixelSpacing", h.any("PixelMeasuresSequence", "PixelSpacing")),
                         ("DetectorElementSpacing", parts(h.ds, "DetectorElementSpacing"))]:
        mm = [number(v) for v in values]
        if len(mm) == 2 and None not in mm and all(0.04 <= v <= 0.2 for v in mm):
            scale = factor if factor > 1 and name != "PixelSpacing" else 1
            return str(mm[0] / scale), str(mm[1] / scale), name
    return "", "", ""


def windows(h):
    ds = h.level("FrameVOILUTSequence", "WindowCenter", "VOILUTSequence")
    center, width = parts(ds, "WindowCenter"), parts(ds, "WindowWidth")
    names = parts(ds, "WindowCenterWidthExplanation")
    out = []
    for i in range(min(len(center), len(width))):
        if number(center[i]) is not None and number(width[i]) is not None:
            out.append((number(center[i]), number(width[i]), names[i].upper() if i < len(names) else ""))
    fn = word(ds, "VOILUTFunction")
    return out, fn if fn in ("LINEAR", "LINEAR_EXACT", "SIGMOID") else "LINEAR"


def orientation(h):
    values = parts(h.level("PatientOrientationInFrameSequence", "PatientOrientation"), "PatientOrientation")
    if values:
        return [v.upper() for v in (values + [""])[:2]]
    cosines = [number(v) for v in h.any("PlaneOrientationSequence", "ImageOrientationPatient")]
    if len(cosines) != 6 or None in cosines:
        return ["", ""]
    letters = []
    for axis in (cosines[:3], cosines[3:]):
        pairs = sorted(zip(map(abs, axis), axis, ("LR", "PA", "HF")), reverse=True)
        letters.append("".join(p[2][0 if p[1] > 0 else 1] for p in pairs if p[0] > 1e-4))
    return letters


def yes_no(value):
    return {"YES": "yes", "NO": "no"}.get(value, "")


def padding_value(h, name):
    value = number(text(h.ds, name))
    if value is None:
        return ""
    bits = 16
    if text(h.ds, "PixelRepresentation") == "1":
        value = (int(value) + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1)
    return str(int(value))


def frames_of(ds):
    """An unusable count is one frame where the pixels are as long as one, else none is believed."""
    value = text(ds, "NumberOfFrames")
    n = number(value)
    if n and n >= 1 or not value:
        return str(int(n or 1))
    one = math.prod(int(text(ds, k) or 0) for k in ("Rows", "Columns", "SamplesPerPixel", "BitsAllocated")) // 8
    pixels = len(ds.PixelData) if "PixelData" in ds else 0
    return "1" if pixels in (one, one + 1) else "0"


def other_ids(h):
    ids = set(parts(h.ds, "OtherPatientIDs")) | set(parts(h.ds, "ClinicalTrialSubjectID"))
    for other in (h.ds["OtherPatientIDsSequence"].value if "OtherPatientIDsSequence" in h.ds else []):
        ids |= set(parts(other, "PatientID"))
    return " ".join(sorted(i for i in ids if i))


def read(path):
    ds = pydicom.dcmread(path, force=True)
    h = Header(ds)
    day, day_source = exam_day(h)
    f = {"exam_day": str(day or ""), "date_source": day_source, "acquisition_time": seconds(h),
         "age": age(h, day), "other_ids": other_ids(h)}
    f["sop_class"] = text(ds, "SOPClassUID") or text(h.meta, "MediaStorageSOPClassUID")
    f["sop_uid"] = text(ds, "SOPInstanceUID") or text(h.meta, "MediaStorageSOPInstanceUID")
    for fact, name in [("study_uid", "StudyInstanceUID"), ("series_uid", "SeriesInstanceUID"),
                       ("accession", "AccessionNumber"), ("study_id", "StudyID"), ("patient_id", "PatientID"),
                       ("issuer", "IssuerOfPatientID"), ("manufacturer", "Manufacturer"),
                       ("model", "ManufacturerModelName"), ("station", "StationName"),
                       ("serial", "DeviceSerialNumber"), ("detector_id", "DetectorID"),
                       ("processing_code", "AcquisitionDeviceProcessingCode"),
                       ("processing", "AcquisitionDeviceProcessingDescription"),
                       ("sc_manufacturer", "SecondaryCaptureDeviceManufacturer"),
                       ("kvp", "KVP"), ("organ_dose", "OrganDose"), ("thickness_mm", "BodyPartThickness"),
                       ("force_n", "CompressionForce"), ("relative_exposure", "RelativeXRayExposure"),
                       ("magnification", "EstimatedRadiographicMagnificationFactor"),
                       ("rows", "Rows"), ("cols", "Columns"), ("samples", "SamplesPerPixel"),
                       ("bits_allocated", "BitsAllocated"), ("bits_stored", "BitsStored"),
                       ("pixel_signed", "PixelRepresentation"), ("fov_rotation", "FieldOfViewRotation")]:
        f[fact] = text(ds, name)
    f["software"] = "\\".join(parts(ds, "SoftwareVersions"))
    for fact, name in [("modality", "Modality"), ("body_part", "BodyPartExamined"), ("sex", "PatientSex"),
                       ("conversion_type", "ConversionType"), ("filter", "FilterMaterial"),
                       ("anode", "AnodeTargetMaterial"), ("detector_type", "DetectorType"),
                       ("photometric", "PhotometricInterpretation"), ("pls", "PresentationLUTShape")]:
        f[fact] = word(ds, name)
    f["rescale_type"] = text(h.level("PixelValueTransformationSequence", "RescaleSlope", "RescaleType"),
                             "RescaleType").upper()
    f["intent"] = {"FOR PRESENTATION": "presentation", "FOR PROCESSING": "processing"}.get(
        word(ds, "PresentationIntentType"), MG_INTENT.get(f["sop_class"], ""))
    types = h.any("MammographyCADSequence", "FrameType")  # no macro of that name: top level below
    for macro in ("XRay3DFrameTypeSequence", "MRImageFrameTypeSequence", "CTImageFrameTypeSequence"):
        for group in h.groups:
            types = types or parts(item(group, macro), "FrameType")
    types = parts(ds, "ImageType") if not types else types
    for i in range(5):
        f["image_type_%d" % (i + 1)] = types[i].upper() if i < len(types) else ""
    f["view"], f["view_source"] = view(h)
    f["side"], f["side_source"] = side(h)
    for fact, name in [("burned_in", "BurnedInAnnotation"), ("implant", "BreastImplantPresent"),
                       ("partial", "PartialView"), ("fov_flip", "FieldOfViewHorizontalFlip"),
                       ("recognizable", "RecognizableVisualFeatures")]:
        f[fact] = yes_no(word(ds, name))
    f["qc"] = {"YES": "yes", "BOTH": "yes", "NO": "no"}.get(word(ds, "QualityControlImage"), "")
    f["lossy"] = {"01": "yes", "00": "no"}.get(text(ds, "LossyImageCompression"), "")
    f["lossy_ratio"] = str(math.prod(number(v) or 1 for v in parts(ds, "LossyImageCompressionRatio") or ["0"])) \
        if parts(ds, "LossyImageCompressionRatio") else ""
    f["aborted"] = {"ABORTED": "yes", "NORMAL": "no"}.get(word(ds, "ExposureStatus"), "")
    f["exposure"] = text(ds, "Exposure") or str((number(text(ds, "ExposureInuAs")) or 0) / 1000)
    start = re.sub(r"[^A-Z]", " ", f["manufacturer"].upper()).split()
    f["vendor"] = next((v for p, v in VENDORS if start and " ".join(start).startswith(p)), "")
    if not f["vendor"]:
        f["vendor"] = next((v for p, v in MODELS if p in f["model"].upper()), "OTHER" if start else "")
    f["transfer_syntax"] = text(h.meta, "TransferSyntaxUID")
    f["frames"] = frames_of(ds)
    f["high_bit"] = text(ds, "HighBit") or (str(int(f["bits_stored"]) - 1) if f["bits_stored"] else "")
    f["row_mm"], f["col_mm"], f["spacing_source"] = spacing(h)
    f["orientation_row"], f["orientation_col"] = orientation(h)
    scale = h.level("PixelValueTransformationSequence", "RescaleSlope")
    slope, intercept = number(text(scale, "RescaleSlope")), number(text(scale, "RescaleIntercept"))
    both = slope not in (None, 0) and intercept is not None
    f["has_rescale"], f["slope"] = ("1", str(slope)) if both else ("0", "1")
    f["intercept"] = str(intercept) if both else "0"
    f["has_modality_lut"] = str(int("ModalityLUTSequence" in ds and len(ds.ModalityLUTSequence) > 0))
    f["n_voi_luts"] = str(len(ds.VOILUTSequence) if "VOILUTSequence" in ds else 0)
    found, f["voi"] = windows(h)
    f["windows"] = ";".join("%g:%g:%s" % w for w in found)
    f["padding"] = padding_value(h, "PixelPaddingValue")
    f["has_padding"] = str(int(f["padding"] != ""))
    f["padding_limit"] = padding_value(h, "PixelPaddingRangeLimit") if f["padding"] else ""
    f["has_padding_limit"] = str(int(f["padding_limit"] != ""))
    origin = parts(ds, "FieldOfViewOrigin") + ["", ""]
    f["fov_origin_row"], f["fov_origin_col"] = origin[0], origin[1]
    return f


def same(fact, a, b):
    """Equal as texts, or as numbers to ten digits; nothing and 0 are the same nothing."""
    if fact == "other_ids":
        a = " ".join(sorted({p.split("|")[-1] for p in re.split(r"[;\\]", a) if p}))
    if a == b or (a in ("", "0") and b in ("", "0", "0.0")):
        return True
    x, y = number(a), number(b)
    return x is not None and y is not None and math.isclose(x, y, rel_tol=1e-9, abs_tol=1e-12)


def shown(program, path):
    """What the program says, or the reason why it says nothing."""
    done = subprocess.run([program, "show", path, "--json", "--identifiers"], capture_output=True, text=True,
                          errors="replace", check=False)
    try:
        return json.loads(done.stdout), ""
    except json.JSONDecodeError:
        return None, (done.stdout + done.stderr).strip().split("\n")[-1]


def compare(program, path):
    """Differences (fact, program, peer) of one file, and how many facts were compared."""
    ours, why = shown(program, path)
    try:
        peer, elements = read(path), len(pydicom.dcmread(path, force=True))
    except Exception as e:
        peer, elements, why = {}, 0, why or "pydicom: %s" % e
    unreadable = ours is None or ours.get("primary") == "IO_UNREADABLE"
    if unreadable or not elements:
        image = elements > 1 and peer["rows"] and peer["sop_class"]
        differs = bool(image) if unreadable else True
        return ([("readable", "no: " + why if unreadable else "yes", "yes" if image else "no")] if differs else []), 1
    facts = sorted(k for k in peer if k in ours)
    return [(k, str(ours[k]), peer[k]) for k in facts if not same(k, str(ours[k]), peer[k])], len(facts)


def main():
    if sys.argv[1] == "--check":
        return 0
    program, table, files = sys.argv[1], sys.argv[2], sys.argv[3:]
    with open(table, encoding="utf-8") as f:
        known = [line.rstrip("\n").split("\t") for line in f if line.strip() and not line.startswith("#")]
    used, bad, facts = set(), 0, 0
    for path in files:
        differences, n = compare(program, path)
        facts += n
        for fact, a, b in differences:
            hit = next((i for i, (p, k, _) in enumerate(known)
                        if fnmatch.fnmatch(os.path.basename(path), p) and fnmatch.fnmatch(fact, k)), None)
            used.add(hit)
            bad += hit is None
            print("%s\t%s\t%s\t%s\t%s" % (os.path.basename(path), fact, a or "-", b or "-",
                                          "UNEXPLAINED" if hit is None else known[hit][2]))
    for i, row in enumerate(known):
        if i not in used:
            print("%s\t%s\tis explained and does not occur\t\tUNEXPLAINED" % (row[0], row[1]))
            bad += 1
    print("%d files, %d facts compared, %d differences without a reason" % (len(files), facts, bad))
    return bad > 0


if __name__ == "__main__":
    sys.exit(main())
