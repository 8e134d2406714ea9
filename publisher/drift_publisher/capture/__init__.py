"""Raw capture: what the source tells, kept in a file, and brought back through store and projection."""

from drift_publisher.capture.capturing import Capture, capturing, header_of, open_capture
from drift_publisher.capture.file import CaptureFile, CaptureFileExists, CaptureFileFailed
from drift_publisher.capture.projecting import profile_of, project_capture
from drift_publisher.capture.standalone import run_capture

__all__ = [
    "Capture",
    "CaptureFile",
    "CaptureFileExists",
    "CaptureFileFailed",
    "capturing",
    "header_of",
    "open_capture",
    "profile_of",
    "project_capture",
    "run_capture",
]
