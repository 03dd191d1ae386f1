"""umt5's tokenizer, which LightX2V's `.pth` files do not carry."""

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..errors import CheckpointError
from .checkpoint import Checkpoint

MODEL_FILE = ".model"
BESIDE = (os.path.join("google", "umt5-xxl", "spiece.model"), "spiece.model")
"""Where a Wan folder keeps it, relative to the checkpoint's folder."""

PAD, END = 0, 1
MOST_UNUSED_ROWS = 256
"""umt5-xxl has 84 embeddings more than its tokenizer has pieces; a plain T5's tokenizer, with the same special ids, is 224,000 pieces short."""


class Tokenizer(NamedTuple):
    """model: the serialized sentencepiece model, uint8; source: where it came from, for the log."""

    model: torch.Tensor
    source: str


def find_tokenizer(
    checkpoint: Checkpoint, chosen: str | None, files: Sequence[str], read_spiece: Callable[[str], torch.Tensor | None]
) -> Tokenizer:
    """The tokenizer for a T5 checkpoint: the chosen file, else the checkpoint's own, else one beside it, else one among `files`.

    read_spiece: path of a ComfyUI umt5 file -> its tokenizer, or None if it carries none.
    Raises CheckpointError where there is none, or where it is not umt5's.
    """
    if chosen:
        model = _from_file(chosen, read_spiece)
        if model is None:
            raise CheckpointError(
                f"LightQuant found no tokenizer in {chosen}. Pick a sentencepiece .model file, or a ComfyUI umt5 file that carries one."
            )
        return _checked(Tokenizer(model, chosen), checkpoint)
    if checkpoint.spiece is not None:
        return _checked(Tokenizer(checkpoint.spiece, checkpoint.path), checkpoint)
    rejected = []
    for path in [*filter(os.path.isfile, beside(checkpoint.path)), *files]:
        try:
            model = _from_file(path, read_spiece)
            if model is not None:
                return _checked(Tokenizer(model, path), checkpoint)
        except CheckpointError as problem:  # a file that nobody named: another model's tokenizer, say
            rejected.append(str(problem))
    raise CheckpointError(
        f"LightQuant found no tokenizer for {checkpoint.path}: the file carries none, there is none at {' or '.join(beside(checkpoint.path))}, and "
        f"none of the {len(files)} text encoder files holds it. Put google/umt5-xxl/spiece.model of the Wan model beside the file, or pick a "
        f"tokenizer. {' '.join(rejected)}".strip()
    )


def beside(path: str) -> list[str]:
    """Where the tokenizer of the checkpoint at path may lie, in a Wan folder."""
    return [os.path.join(os.path.dirname(path), place) for place in BESIDE]


def _from_file(path: str, read_spiece: Callable[[str], torch.Tensor | None]) -> torch.Tensor | None:
    if not path.lower().endswith(MODEL_FILE):
        return read_spiece(path)
    with open(path, "rb") as file:
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8)


def _checked(tokenizer: Tokenizer, checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer, if its vocabulary is one that the model's embedding can take; a wrong one would give a wrong picture without a word."""
    import sentencepiece

    processor = sentencepiece.SentencePieceProcessor()
    try:
        processor.LoadFromSerializedProto(tokenizer.model.numpy().tobytes())
    except RuntimeError as problem:
        raise CheckpointError(f"LightQuant can't read the tokenizer in {tokenizer.source}: it is no sentencepiece model. Pick another.") from problem
    words = checkpoint.tensors["shared.weight"].shape[0]
    unused = words - processor.get_piece_size()
    if processor.pad_id() != PAD or processor.eos_id() != END or not 0 <= unused <= MOST_UNUSED_ROWS:
        raise CheckpointError(
            f"The tokenizer in {tokenizer.source} is not this model's: it has {processor.get_piece_size()} pieces, pad {processor.pad_id()} and "
            f"end {processor.eos_id()}, where {os.path.basename(checkpoint.path)} has {words} embeddings and needs pad {PAD} and end {END}. "
            "Pick umt5-xxl's."
        )
    return tokenizer
