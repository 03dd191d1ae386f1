"""Giving a clone its offloading: which of the ways serves it, and when what happens."""

from collections.abc import Callable
from functools import partial

from ..bridge import memory, runs
from ..errors import OffloadError
from .chunks import Difference, compute_in_chunks, compute_whole
from .curtain import hang, take_down
from .partner import partner_of
from .plan import Plan, make_plan
from .settings import GIB, MODEL, Settings
from .streaming import Streaming
from .units import layers_of
from .usage import Tell, Usage

KEY = "lightquant_offload"
"""Of what is registered with a clone, so that a second node replaces the first."""


def offload(patcher, settings: Settings, tell: Tell) -> str:
    """Have a clone run with these settings, in place of earlier ones. Returns what it will use; `tell` gets what it used, after each run of a DiT.

    Raises OffloadError where nothing can be done for the model.
    """
    stop(patcher)
    difference = Difference(settings.chunk_rows) if settings.chunk_rows else None
    usage = Usage(tell, difference)
    plan = make_plan(layers_of(patcher.model), memory.weight_bytes(patcher), settings)
    way = _steered if patcher.is_dynamic() else _whole if not plan.streamed else _streamed
    text, moments = way(patcher, plan, settings, usage)
    if _has_end(patcher) and (settings.granularity == MODEL or partner_of(patcher) is not None):
        moments[runs.END] = _then_unload(moments[runs.END])
        text += "\nit leaves VRAM at the end of each run"
    if patcher.load_device.type == "cpu":
        text += "\nit computes on the CPU, where there is no VRAM to save"
    if difference is not None:
        chunks = f"the FFN is computed in chunks of {settings.chunk_rows} rows"
        text += "\n" + (chunks if compute_in_chunks(patcher, difference) else "it has no FFN that could be computed in chunks")
    runs.set_callbacks(patcher, KEY, moments | {runs.CLONE: partial(_cloned, settings=settings, tell=tell)})
    return text


def stop(patcher) -> None:
    """Have a clone run as ComfyUI would run it."""
    take_down(patcher)
    compute_whole(patcher)
    runs.set_callbacks(patcher, KEY, {})
    patcher.size = 0


def _streamed(patcher, plan: Plan, settings: Settings, usage: Usage) -> tuple[str, dict]:
    streaming = Streaming(plan, settings, usage, _has_end(patcher))
    hang(patcher, [layer for unit in plan.streamed for layer in unit.layers], streaming.arrive)
    patcher.size = plan.vram_bytes
    runs.renew(patcher)
    moments = {
        runs.LOAD: streaming.load, runs.BEGIN: streaming.begin, runs.END: streaming.end, runs.DETACH: streaming.detach,
        runs.HOOKS: streaming.hooks_applied,
    }  # fmt: skip
    return f"{plan.describe()}\n{_host_memory(settings)}", moments


def _whole(patcher, plan: Plan, settings: Settings, usage: Usage) -> tuple[str, dict]:
    if not plan.blocks and settings.granularity != MODEL and not settings.chunk_rows:
        raise OffloadError(
            "ComfyUI's dynamic VRAM is off, and this model has no layers of LightQuant's that could be streamed. Load it with a LightQuant loader, "
            "or start ComfyUI with its dynamic VRAM, or set the granularity to model."
        )
    runs.renew(patcher)
    return plan.describe(), {runs.BEGIN: lambda patcher: usage.begin(patcher.load_device), runs.END: usage.end}


def _steered(patcher, plan: Plan, settings: Settings, usage: Usage) -> tuple[str, dict]:
    limit = plan.resident_bytes if plan.streamed else None
    if not plan.blocks and settings.granularity != MODEL:
        limit = int(max(settings.vram_gib * GIB, settings.keep * plan.resident_bytes))

    def load(patcher, *_: object) -> None:
        if limit is not None:
            memory.limit_dynamic(patcher, limit)

    def begin(patcher) -> None:
        usage.begin(patcher.load_device)

    size = "all weights" if limit is None else f"at most {limit / GIB:.2f} GiB of the weights"
    text = f"ComfyUI's dynamic VRAM is on: it keeps {size} in VRAM, and streams the others and pins memory in its own ways"
    return text, {runs.LOAD: load, runs.BEGIN: begin, runs.END: usage.end}


def _has_end(patcher) -> bool:
    """Whether ComfyUI tells the begin and the end of its runs, as it does of a model that is sampled with."""
    return hasattr(patcher.model, "diffusion_model")


def _then_unload(end: Callable) -> Callable:
    def end_and_unload(patcher) -> None:
        end(patcher)
        memory.unload(patcher)

    return end_and_unload


def _cloned(patcher, clone, settings: Settings, tell: Tell) -> None:
    """A copy of the model itself, as TorchCompileModel, hooks and the multi-GPU nodes make it, has layers of its own, and may be of another mode."""
    if clone.model is not patcher.model:
        offload(clone, settings, tell)


def _host_memory(settings: Settings) -> str:
    if settings.from_disk:
        return "what is streamed is read from the file each time: none of it stays in memory of ComfyUI's own"
    if not settings.pinned:
        return "what is streamed is read from where the loader put it, as a rule the file's mapping"
    limit = f"at most {settings.pinned_gib:g} GiB" if settings.pinned_gib else "as much as ComfyUI pins"
    return f"what is streamed gets a copy in pinned memory, {limit}; the rest is read from the file each time"
