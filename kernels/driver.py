"""The NVIDIA driver's version."""

import ctypes
import sys
from functools import cache

_VERSION_BYTES = 80
"""NVML's NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE."""


@cache
def driver() -> str:
    """What the driver's own library says; "" without one. torch doesn't know it, and nvidia-smi would be another process."""
    try:
        nvml = ctypes.CDLL("nvml.dll" if sys.platform == "win32" else "libnvidia-ml.so.1")
        version = ctypes.create_string_buffer(_VERSION_BYTES)
        found = nvml.nvmlInit_v2() == 0 and nvml.nvmlSystemGetDriverVersion(version, _VERSION_BYTES) == 0
    except (OSError, AttributeError):
        return ""
    return version.value.decode("ascii", "replace") if found else ""
