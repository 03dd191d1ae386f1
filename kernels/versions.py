"""What pip is to install for which torch, by torch's release; from the packages' metadata, and their libraries' symbols compared with torch's."""

VLLM_FOR_TORCH: dict[str, str] = {
    "2.6": "vllm==0.8.5.post1", "2.7": "vllm==0.10.1.1", "2.8": "vllm==0.11.0", "2.9": "vllm==0.16.0", "2.10": "vllm==0.19.1", "2.11": "vllm==0.26.0",
    "2.12": "vllm==0.26.0", "2.13": "vllm==0.32.0", "2.14": "vllm==0.33.0", "2.15": "vllm==0.33.0",
}  # fmt: skip
"""From 0.24 on vllm's library keeps to torch's stable interface: newer torches load it, too."""

SGL_FOR_TORCH: dict[str, str] = {
    "2.6": "sgl-kernel==0.1.4", "2.7": "sgl-kernel==0.2.8", "2.8": "sgl-kernel==0.3.17.post1", "2.9": "sgl-kernel==0.3.21",
    "2.11": "sglang-kernel==0.4.5", "2.13": "sglang-kernel==0.4.8", "2.14": "sglang-kernel==0.4.10", "2.15": "sglang-kernel==0.4.10",
}  # fmt: skip
"""Its library is bound to one release of torch; none loads in 2.10 and 2.12."""

TORCHAO_FOR_TORCH: dict[str, str] = {
    **dict.fromkeys(("2.6", "2.7"), "torchao==0.16.0"), **dict.fromkeys(("2.8", "2.9"), "torchao==0.17.0"),
    **dict.fromkeys(("2.10", "2.11", "2.12", "2.13", "2.14", "2.15"), "torchao==0.18.0"),
}  # fmt: skip
"""Bound by what it imports of torch."""
