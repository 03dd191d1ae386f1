"""What a loaded model is: one frozen record, attached to its patcher, that the node, the inspector, the saver and offload read."""

from collections.abc import Sequence
from dataclasses import dataclass

from ..formats import mixture

ATTACHMENT = "lightquant"


@dataclass(frozen=True)
class KernelUse:
    """What multiplies the layers of one format.

    layers: how many there are; kernel: the scheme name of the kernel; variant: how it multiplies; why: the reason for it, in words.
    """

    format: str
    layers: int
    kernel: str
    variant: str
    why: str


@dataclass(frozen=True)
class ModelRecord:
    """file: the checkpoint's path, or what else it was made from; how: it was quantized, in words, where it came as floats.
    scheme: what the user asked for.
    kernels: what runs, one for each format that its layers have.
    dtype: the compute dtype of everything else.
    quantized: names of the quantized layers; float_tensors: keys that stayed float.
    weight_bytes: what all its weights take on the device.
    tokenizer: where a text encoder's tokenizer came from.
    random: whether the file says that its weights are random.
    """

    component: str
    file: str
    scheme: str
    kernels: tuple[KernelUse, ...]
    dtype: str
    quantized: tuple[str, ...]
    float_tensors: tuple[str, ...]
    weight_bytes: int
    tokenizer: str | None = None
    how: str | None = None
    random: bool = False

    @property
    def format(self) -> str:
        """How its quantized weights are stored, in words: one format, or all of a mixed file's."""
        return mixture(use.format for use in self.kernels)

    @property
    def kernel(self) -> str:
        """The kernels, in the order of the formats."""
        return kernels_of(self.kernels)

    @property
    def variant(self) -> str:
        """How they multiply."""
        return " + ".join(use.variant for use in self.kernels)

    @property
    def why(self) -> str:
        """Why it is these kernels; of a mixed file, by format."""
        return why_of(self.kernels)


def kernels_of(uses: Sequence[KernelUse]) -> str:
    """The names of the kernels, in the order of the formats."""
    return " + ".join(use.kernel for use in uses)


def why_of(uses: Sequence[KernelUse]) -> str:
    """Why it is these kernels; of a mixed file, by format."""
    return uses[0].why if len(uses) == 1 else "; ".join(f"{use.format}: {use.why}" for use in uses)


def attach(patcher, record: ModelRecord) -> None:
    """Tie the record to a patcher; ComfyUI hands it on to every clone."""
    patcher.set_attachments(ATTACHMENT, record)


def record_of(patcher) -> ModelRecord | None:
    """The record of a patcher that the pack loaded, or None for any other."""
    return patcher.get_attachment(ATTACHMENT)
