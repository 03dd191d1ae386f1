"""The inputs that the loaders share."""

from comfy_api.latest import io

from ..bridge.request import FIND, STOP, SUBSTITUTE
from ..formats import DTYPES
from ..fusion.modes import MODES
from ..schemes import AUTO, COMFYUI, SCHEMES

ANY_MODEL = (io.Model, io.Clip, io.ClipVision)
"""The types of what can be quantized."""


PAGE = {"lightquant": {"routes": 1}}
"""Tells the page (web/js/server.js) that this server has its routes. It is read from disk, so it may be newer than a server that runs for long."""


def scheme() -> io.Combo.Input:
    tooltip = "auto: the fastest kernel for this GPU and file."
    return io.Combo.Input("scheme", options=[AUTO, *SCHEMES], default=AUTO, tooltip=tooltip, extra_dict=PAGE)


def found(name: str, options: list[str], tooltip: str) -> io.Combo.Input:
    return io.Combo.Input(name, options=[FIND, *options], default=FIND, tooltip=tooltip)


def dtype() -> io.Combo.Input:
    return io.Combo.Input("dtype", options=[AUTO, *DTYPES], default=AUTO, tooltip="The dtype of everything that is not quantized.")


def missing_kernel() -> io.Combo.Input:
    return io.Combo.Input(
        "missing_kernel",
        options=[SUBSTITUTE, STOP],
        default=SUBSTITUTE,
        tooltip="When the scheme's kernel can't run here: run another one of the same format, or stop with the reason.",
    )


def attention() -> io.Combo.Input:
    """Optional, as workflows made before it lack it."""
    return io.Combo.Input(
        "attention",
        options=[AUTO, COMFYUI],
        default=AUTO,
        optional=True,
        advanced=True,
        tooltip="auto: the fastest exact attention kernel that was measured on this kind of GPU. comfyui: ComfyUI's own.",
    )


def blocks() -> io.Combo.Input:
    """Optional, as workflows made before it lack it."""
    return io.Combo.Input(
        "blocks",
        options=list(MODES),
        default=AUTO,
        optional=True,
        advanced=True,
        tooltip="As in Fuse Blocks. auto: fused where that was measured to be faster, else ComfyUI's own.",
    )


def random() -> io.Boolean.Input:
    tooltip = "Label the report: the weights are random, even if no file says so. Its figures then say nothing about pictures."
    return io.Boolean.Input("random", default=False, tooltip=tooltip)
