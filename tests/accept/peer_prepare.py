#!/usr/bin/python3
"""The pipeline that people write with pydicom, GDCM, OpenCV and h5py: the peer of `bench prepare`.

--check         exits with 0 if every package it needs is there
make DIR N      N uncompressed mammogram-like files of 4096 x 3328 pixels and 12 bits
run OUT H W WORKERS FILE...
                every file: decode, window to 16 bit, resize by area, store with shuffle and gzip 4;
                prints one JSON line: CPU seconds of the workers between their first and last image
                (imports are free) and the largest resident set of a worker
"""
import json
import multiprocessing
import os
import resource
import sys

import numpy as np
import pydicom
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixel_data_handlers import gdcm_handler, numpy_handler, rle_handler
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

ROWS, COLS = 4096, 3328


def phantom(seed):
    """A half ellipse of smooth tissue with noise on air of exactly 0, 12 bits."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:ROWS, 0:COLS].astype(np.float32)
    r = ((y - ROWS / 2) / (0.42 * ROWS)) ** 2 + (x / (0.62 * COLS)) ** 2
    coarse = rng.normal(0, 1, (ROWS // 64, COLS // 64)).astype(np.float32)
    tissue = np.kron(coarse, np.ones((64, 64), np.float32))[:ROWS, :COLS]
    for axis in (0, 1):  # smooth the blocks
        total = np.cumsum(np.pad(tissue, [(64, 64) if a == axis else (0, 0) for a in (0, 1)],
                                 mode="edge"), axis=axis)
        hi = np.take(total, range(128, total.shape[axis]), axis)
        tissue = (hi - np.take(total, range(0, total.shape[axis] - 128), axis)) / 128
    value = 1800 + 500 * tissue * 4 + 600 * (1 - r) + rng.normal(0, 12, (ROWS, COLS))
    return np.where(r < 1, np.clip(value, 60, 4095), 0).astype(np.uint16)


def make(folder, n):
    os.makedirs(folder, exist_ok=True)
    for i in range(n):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.1.2"
        meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["bench", str(i)])
        ds = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128)
        ds.SOPClassUID = meta.MediaStorageSOPClassUID
        ds.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        ds.StudyInstanceUID = generate_uid(entropy_srcs=["study", str(i // 4)])
        ds.SeriesInstanceUID = generate_uid(entropy_srcs=["series", str(i)])
        ds.PatientID, ds.StudyDate = "BENCH%04d" % (i // 4), "20200101"
        ds.Modality, ds.PresentationIntentType = "MG", "FOR PRESENTATION"
        ds.ImageType = ["DERIVED", "PRIMARY"]
        ds.Manufacturer = "HOLOGIC, Inc."
        ds.ImageLaterality, ds.ViewPosition = "L", "CC" if i % 2 else "MLO"
        ds.PatientOrientation = ["A", "R" if i % 2 else "FR"]
        ds.ImagerPixelSpacing = [0.07, 0.07]
        ds.Rows, ds.Columns, ds.SamplesPerPixel = ROWS, COLS, 1
        ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
        ds.PhotometricInterpretation = "MONOCHROME2"
        ds.WindowCenter, ds.WindowWidth = 2048, 4096
        ds.is_little_endian, ds.is_implicit_VR = True, False
        ds.PixelData = phantom(i).tobytes()
        ds.save_as(os.path.join(folder, "%04d.dcm" % i), write_like_original=False)


def cpu():
    u = resource.getrusage(resource.RUSAGE_SELF)
    return u.ru_utime + u.ru_stime


def work(task):
    out, h, w, files = task
    import cv2
    import gdcm  # noqa: F401  (pydicom's handler uses it)
    import h5py

    cv2.setNumThreads(1)
    pydicom.config.pixel_data_handlers = [numpy_handler, gdcm_handler, rle_handler]
    start = cpu()
    with h5py.File(out, "w") as f:
        data = f.create_dataset("images", (len(files), h, w), np.uint16, chunks=(1, h, w),
                                compression="gzip", compression_opts=4, shuffle=True)
        for i, name in enumerate(files):
            ds = pydicom.dcmread(name)
            x = ds.pixel_array.astype(np.float32)
            c, width = float(ds.WindowCenter), float(ds.WindowWidth)
            x = np.clip(((x - (c - 0.5)) / (width - 1) + 0.5) * 65535, 0, 65535)
            x = cv2.resize(x, (w, h), interpolation=cv2.INTER_AREA)
            data[i] = (x + 0.5).astype(np.uint16)
    return cpu() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main():
    if sys.argv[1] == "--check":
        for name in ("cv2", "gdcm", "h5py"):
            __import__(name)
        return
    if sys.argv[1] == "make":
        make(sys.argv[2], int(sys.argv[3]))
        return
    out, h, w, n = sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
    files = sys.argv[6:]
    tasks = [("%s.%d" % (out, k), h, w, files[k::n]) for k in range(n)]
    with multiprocessing.Pool(n) as pool:
        got = pool.map(work, tasks, chunksize=1)
    print(json.dumps({"cpu_seconds": sum(g[0] for g in got), "images": len(files),
                      "rss": max(g[1] for g in got), "pydicom": pydicom.__version__}))


main()
