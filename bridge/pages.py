"""Reports as ComfyUI keeps them: pages in its output folder, pictures as IMAGE."""

import base64
import io
import os

import folder_paths
import numpy as np
import torch
from PIL import Image

from ..errors import ReportError
from ..reports.error_report.files import PAGE, save
from ..reports.error_report.report import ErrorReport
from .language import language

FOLDER = "lightquant"
"""In ComfyUI's output folder."""


def save_page(report: ErrorReport) -> str:
    """Write the report's page beside the earlier ones, which stay; its path. Raises ReportError."""
    prefix, output = f"{os.path.splitext(report.sides[0].name)[0]}_{report.measured}", folder_paths.get_output_directory()
    try:
        folder, name, number, *_ = folder_paths.get_save_image_path(os.path.join(FOLDER, prefix), output)
    except OSError as problem:
        raise ReportError(f"The report can't be written to {output} ({problem.strerror or problem}). Make the folder writable.") from problem
    path = os.path.join(folder, f"{name}_{number:05}_{PAGE}")
    save(report, [path], language())
    return path


def data_url(picture: Image.Image) -> str:
    """A picture as a PNG that stands in a page's text."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def as_image(picture: Image.Image) -> torch.Tensor:
    """A picture as ComfyUI's IMAGE: fp32 [1, height, width, 3] from 0 to 1."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255).unsqueeze(0)
