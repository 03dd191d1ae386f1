"""LightQuantOffload in tests: its node, lanes that show wrong order, and what is left behind."""

import pipeline
import torch
from lightquant.offload.lanes import Lane

INPUTS = {"granularity": "block", "vram": 0.0, "keep": 0.0, "pinned": True, "pinned_limit": 0.0, "from_disk": False, "chunk_rows": 0}
POISON = 0xFF
"""NaN in fp8 and fp32, -1 in int8."""


def offloaded(model, **inputs):
    """The MODEL behind the node."""
    from lightquant.nodes.offload import Offload

    return Offload.execute(model=model, **{**INPUTS, **inputs}).args[0]


def sample(model, **options) -> torch.Tensor:
    return pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2), **{"steps": 2, **options})


def lenders(model) -> list:
    """The layers of a model that something else than ComfyUI serves."""
    return [module for module in model.model.modules() if "lender" in module.__dict__]


class Poisoning(Lane):
    """Copies in its thread; a buffer that is given back is overwritten at once, so that whoever still reads it computes NaN."""

    def released(self, buffer):
        buffer.fill_(POISON)


class AtOnce(Poisoning):
    """Copies when it is told to: a buffer that is still in use is then overwritten."""

    def submit(self, job, after):
        copies = super().submit(job, after)
        copies.result()
        return copies


class AtLast(Poisoning):
    """Copies only when somebody waits: what is used without waiting is then poisoned, or missing."""

    def submit(self, job, after):
        return [job]

    def wait(self, copies):
        while copies:
            copies.pop()()


LANES = {"thread": Poisoning, "at once": AtOnce, "at last": AtLast}
