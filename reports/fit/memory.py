"""What a run needs beside the weights: activations in VRAM, the process and the system in host memory."""

from .measured import measured
from .models import Model
from .sizes import FLOAT, GIB, sizes

SYSTEM_GIB = 2.0
"""Host memory that is left to others, as Offload Model leaves it."""

CHUNK_ROWS = 4096
"""Tokens of the FFN at a time, where it is computed in chunks."""


def activations(model: Model, tokens: int, chunk_rows: int = 0) -> float:
    """Bytes of VRAM that a step needs beside the weights: as measured, by tokens. chunk_rows: as in Offload Model; what it saves is counted."""
    at = measured()
    measured_bytes = at.noted["activations_gib"] * GIB
    return measured_bytes * _counted(model, tokens, chunk_rows) / _counted(at.model, at.tokens, 0)


def _counted(model: Model, tokens: int, chunk_rows: int) -> float:
    """Bytes of the tensors that exist at a block's largest moment, counted from ComfyUI's code: 2.63 GiB where 2.8 were measured.

    In the FFN: the block's input, its sum so far and the FFN's input, each as wide as the model, and what goes into GELU and what comes out of it; in
    chunks those two are short, and the output has to be there. In the self-attention: the first three, q, k, the output, and half as much for codes.
    """
    ffn = 4 * model.ffn * (min(chunk_rows, tokens) if chunk_rows else tokens)
    at_ffn = 2 * model.width * tokens * (4 if chunk_rows else 3) + ffn
    at_attention = 2 * model.width * tokens * 6.5
    return max(at_ffn, at_attention)


def spare() -> float:
    """Bytes that torch keeps where there is room: what the float model's measured peak has beside weights and activations."""
    at = measured()
    return at.steps[FLOAT]["peak_gib"] * GIB - sizes(at.model, FLOAT).all - activations(at.model, at.tokens)


def process_gib() -> float:
    """Host memory of ComfyUI and its libraries beside a model."""
    return measured().host_beside_model_gib


def for_models_gib(ram_gib: float) -> float:
    """Host memory that is left for models."""
    return ram_gib - SYSTEM_GIB - process_gib()
