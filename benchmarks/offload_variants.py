"""The ways of running a model that does not fit, by the label that results call them."""

from dataclasses import dataclass, replace

FP8, INT4 = "fp8-channel", "int4-g128"


@dataclass(frozen=True)
class Way:
    """format: of the file. dynamic: whether ComfyUI's dynamic VRAM is on; arguments: ComfyUI's own that are set, by their names in cli_args.

    node: the inputs of LightQuantOffload that differ from its defaults; None: no node. held: whether VRAM is held down to the limit.
    """

    format: str = FP8
    dynamic: bool = False
    node: dict | None = None
    arguments: tuple[str, ...] = ()
    held: bool = True


_DISK = {"from_disk": True}
_LEAST = {"granularity": "phase", "chunk_rows": 4096}

_KINDS = {
    "resident": Way(held=False),
    "resident under dynamic VRAM": Way(dynamic=True, held=False),
    "dynamic VRAM alone": Way(dynamic=True),
    "dynamic VRAM, node": Way(dynamic=True, node={}),
    "dynamic VRAM, node, chunks": Way(dynamic=True, node={"chunk_rows": 4096}),
    "--lowvram": Way(arguments=("lowvram",)),
    "blocks, pinned": Way(node={}),
    "blocks, from disk": Way(node=_DISK),
    "half the blocks kept, pinned": Way(node={"keep": 0.5}, held=False),
    "phases, pinned, chunks": Way(node=_LEAST),
    "phases, from disk, chunks": Way(node={**_LEAST, **_DISK}),
}

RESIDENT = "resident"
"""Comes first of a format: the others are held to its latents."""

WAYS = {f"{tag} {label}": replace(way, format=format_name) for tag, format_name in (("fp8", FP8), ("int4", INT4)) for label, way in _KINDS.items()}
"""Label -> way."""

LIMITS = {FP8: 4.5, INT4: 4.0}
"""GiB of VRAM that are left free, the CUDA context of the process not counted."""
