"""The graphs that the browser tests open."""

from demo_graphs import Node, Video, graph, quantized_loader

DIT_FP8, DIT_INT8, DIT_FLOAT = (f"wan2.1_t2v_small_{stored}.safetensors" for stored in ("fp8", "int8", "bf16"))
T5 = "models_t5_umt5-xxl-enc-int8.pth"


def loader(component: str = "dit", checkpoint: str = DIT_FP8, scheme: str = "auto") -> Node:
    """A loader that lets another kernel stand in."""
    made = quantized_loader(component, checkpoint, scheme)
    made["inputs"]["missing_kernel"] = "substitute"
    return made


def text_to_video(scheme: str = "auto") -> dict[str, Node]:
    """A whole graph, from text to a saved latent. Its loaders are nodes "dit" and "t5"."""
    return graph("t2v", {"dit": loader(scheme=scheme), "t5": loader("t5", T5)}, Video(128, 128, 5, 2))
