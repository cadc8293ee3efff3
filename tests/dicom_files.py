"""DICOM files as bytes, from arrays of pixels."""

import importlib.util
import io

import numpy as np
import pytest

HAS_PYDICOM = importlib.util.find_spec("pydicom") is not None


def dicom_bytes(pixels, **elements):
    """Return the bytes of a DICOM file with these uint16 or int16 pixels; skip the test where pydicom is missing."""
    pydicom = pytest.importorskip("pydicom", reason="pydicom is not installed")
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.Rows, dataset.Columns = pixels.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 12, 11
    dataset.PixelRepresentation = int(pixels.dtype == np.int16)
    dataset.SOPClassUID, dataset.SOPInstanceUID = pydicom.uid.CTImageStorage, pydicom.uid.generate_uid()
    dataset.PixelData = pixels.tobytes()
    for name, value in elements.items():
        setattr(dataset, name, value)
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()
