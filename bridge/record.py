"""What a loaded model is: one frozen record, attached to its patcher, that the node, the inspector, the saver and offload read."""

from dataclasses import dataclass

ATTACHMENT = "lightquant"


@dataclass(frozen=True)
class ModelRecord:
    """file: the checkpoint's path.
    format: how its quantized weights are stored.
    scheme: what the user asked for.
    kernel: the scheme name of the kernel that runs; variant: how it multiplies; why: the reason, in words.
    dtype: the compute dtype of everything else.
    quantized: names of the quantized layers; float_tensors: keys that stayed float.
    weight_bytes: what all its weights take on the device.
    tokenizer: where a text encoder's tokenizer came from.
    random: whether the file says that its weights are random.
    """

    component: str
    file: str
    format: str
    scheme: str
    kernel: str
    variant: str
    why: str
    dtype: str
    quantized: tuple[str, ...]
    float_tensors: tuple[str, ...]
    weight_bytes: int
    tokenizer: str | None = None
    random: bool = False


def attach(patcher, record: ModelRecord) -> None:
    """Tie the record to a patcher; ComfyUI hands it on to every clone."""
    patcher.set_attachments(ATTACHMENT, record)


def record_of(patcher) -> ModelRecord | None:
    """The record of a patcher that the pack loaded, or None for any other."""
    return patcher.get_attachment(ATTACHMENT)
