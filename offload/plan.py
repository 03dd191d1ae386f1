"""Which blocks stay in VRAM and which are streamed, and what that takes."""

from collections.abc import Sequence
from dataclasses import dataclass

from .settings import BLOCK, GIB, MODEL, Settings
from .units import Layer, Unit, units_of


@dataclass(frozen=True)
class Plan:
    """kept, blocks: how many blocks stay in VRAM, of how many.

    streamed: what takes turns in the buffers. resident_bytes: the kept blocks and all that is in no block.
    """

    granularity: str
    kept: int
    blocks: int
    streamed: tuple[Unit, ...]
    resident_bytes: int

    @property
    def streamed_bytes(self) -> int:
        """What a step brings to the device."""
        return sum(unit.nbytes for unit in self.streamed)

    @property
    def slot_bytes(self) -> int:
        """A buffer: it holds the largest unit."""
        return max((unit.nbytes for unit in self.streamed), default=0)

    @property
    def buffer_bytes(self) -> int:
        """Both buffers; a single unit needs but one."""
        return self.slot_bytes * min(2, len(self.streamed))

    @property
    def vram_bytes(self) -> int:
        """All that the weights take in VRAM."""
        return self.resident_bytes + self.buffer_bytes

    def describe(self) -> str:
        """What will be used, in a line."""
        if not self.streamed:
            return f"all {self.blocks} blocks stay in VRAM: {self.vram_bytes / GIB:.2f} GiB of weights"
        return (
            f"by {self.granularity}: {self.kept} of {self.blocks} blocks stay in VRAM, the others' {self.streamed_bytes / GIB:.2f} GiB are streamed "
            f"at every step. VRAM for weights {self.vram_bytes / GIB:.2f} GiB: {self.resident_bytes / GIB:.2f} resident, "
            f"{self.buffer_bytes / GIB:.2f} for two buffers; activations come on top"
        )


def make_plan(layers: Sequence[Layer], model_bytes: int, settings: Settings) -> Plan:
    """The plan that keeps as many blocks as the settings say. model_bytes: all weights of the model, those in blocks included."""
    blocks = units_of(layers, BLOCK)
    wanted = len(blocks) if settings.granularity == MODEL else round(settings.keep * len(blocks))
    least = _plan(blocks, wanted, model_bytes, settings)
    fitting = (_plan(blocks, kept, model_bytes, settings) for kept in range(len(blocks), wanted, -1))
    return next((plan for plan in fitting if plan.vram_bytes <= settings.vram_gib * GIB), least)


def _plan(blocks: Sequence[Unit], kept: int, model_bytes: int, settings: Settings) -> Plan:
    # Kept ones lie evenly between the others, which gives each copy the more time.
    streamed = [block for index, block in enumerate(blocks) if (index + 1) * kept // len(blocks) == index * kept // len(blocks)]
    units = units_of([layer for block in streamed for layer in block.layers], settings.granularity)
    resident = model_bytes - sum(tensor.nbytes for block in streamed for tensor in block.tensors())
    return Plan(settings.granularity, kept, len(blocks), tuple(units), resident)
