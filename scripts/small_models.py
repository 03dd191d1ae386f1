"""Small models of the true architectures, in LightX2V's own file layouts: what the demo, the tests and the benchmarks run on.

The weights look like real ones (row magnitudes over two decades, heavy tails, a few outlier columns): on plain Gaussian rows, whose scales are
nearly equal, a scale applied to the wrong row would hardly show.
"""

import io
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from lightquant.formats import FORMATS
from lightquant.loaders.random_weights import MARK
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

TEXT_WIDTH, IMAGE_WIDTH, LATENT_CHANNELS, PATCH = 4096, 1280, 16, (1, 2, 2)
"""Fixed by the Wan family, whatever the size of the rest."""

QUANTIZED = {
    "dit": r"(vace_)?blocks\.\d+\.(self_attn|cross_attn|ffn)\.[^.]+\.weight",
    "t5": r"blocks\.\d+\.(attn|ffn)\..+\.weight",
    "clip": r"visual\.transformer\.\d+\.(attn|mlp)\..+\.weight",
}
"""The tensors that LightX2V's converter quantizes, where they have two dimensions."""


class Weights:
    """Draws weights from one seeded stream."""

    def __init__(self, seed: int):
        self._generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, std: float = 1.0, mean: float = 0.0) -> torch.Tensor:
        return torch.randn(shape, generator=self._generator) * std + mean

    def matrix(self, out_features: int, in_features: int, gain: float = 1.0) -> torch.Tensor:
        """[N, K] with heavy tails, row magnitudes over two decades and one outlier column in 64; its outputs are about `gain` times its inputs."""
        body = self.normal(out_features, in_features)
        body = body * (1.0 + 0.3 * self.normal(out_features, in_features).abs() ** 3)
        rows = 10 ** (2 * torch.rand(out_features, 1, generator=self._generator) - 1)
        columns = torch.ones(in_features)
        columns[torch.randperm(in_features, generator=self._generator)[: max(1, in_features // 64)]] = 8.0
        weight = body * rows * columns
        return weight * (gain / weight.square().sum(dim=1).mean().sqrt())

    def linear(self, tensors: Tensors, name: str, out_features: int, in_features: int, bias: bool = True, gain: float = 1.0) -> None:
        tensors[name + ".weight"] = self.matrix(out_features, in_features, gain)
        if bias:
            tensors[name + ".bias"] = self.normal(out_features, std=0.1)

    def norm(self, tensors: Tensors, name: str, width: int, bias: bool = True) -> None:
        tensors[name + ".weight"] = self.normal(width, std=0.1, mean=1.0)
        if bias:
            tensors[name + ".bias"] = self.normal(width, std=0.1)


def dit(image_to_video: bool = False, width: int = 256, ffn: int = 512, blocks: int = 2, seed: int = 0) -> Tensors:
    """A Wan2.1 DiT in Wan's names, fp32; width must be a multiple of 128 (heads are 128 wide)."""
    draw, tensors = Weights(seed), {}
    channels = 36 if image_to_video else LATENT_CHANNELS
    tensors["patch_embedding.weight"] = draw.normal(width, channels, *PATCH, std=(channels * 4) ** -0.5)
    tensors["patch_embedding.bias"] = draw.normal(width, std=0.1)
    draw.linear(tensors, "text_embedding.0", width, TEXT_WIDTH)
    draw.linear(tensors, "text_embedding.2", width, width)
    draw.linear(tensors, "time_embedding.0", width, 256)
    draw.linear(tensors, "time_embedding.2", width, width)
    draw.linear(tensors, "time_projection.1", 6 * width, width, gain=0.5)
    if image_to_video:
        draw.norm(tensors, "img_emb.proj.0", IMAGE_WIDTH)
        draw.linear(tensors, "img_emb.proj.1", IMAGE_WIDTH, IMAGE_WIDTH)
        draw.linear(tensors, "img_emb.proj.3", width, IMAGE_WIDTH)
        draw.norm(tensors, "img_emb.proj.4", width)
    for block in range(blocks):
        name = f"blocks.{block}."
        tensors[name + "modulation"] = draw.normal(1, 6, width, std=0.3)
        for attention in ("self_attn", "cross_attn"):
            for letter in "qkvo":
                draw.linear(tensors, f"{name}{attention}.{letter}", width, width)
            for letter in "qk":
                draw.norm(tensors, f"{name}{attention}.norm_{letter}", width, bias=False)
        if image_to_video:
            for letter in "kv":
                draw.linear(tensors, f"{name}cross_attn.{letter}_img", width, width)
            draw.norm(tensors, name + "cross_attn.norm_k_img", width, bias=False)
        draw.norm(tensors, name + "norm3", width)
        draw.linear(tensors, name + "ffn.0", ffn, width)
        draw.linear(tensors, name + "ffn.2", width, ffn)
    tensors["head.modulation"] = draw.normal(1, 2, width, std=0.3)
    draw.linear(tensors, "head.head", LATENT_CHANNELS * 4, width)
    return tensors


def t5(words: int = 128, width: int = TEXT_WIDTH, ffn: int = 256, heads: int = 2, blocks: int = 2, seed: int = 1) -> Tensors:
    """A umt5 encoder in Wan's names, fp32; heads are 64 wide."""
    draw, tensors = Weights(seed), {}
    tensors["token_embedding.weight"] = draw.normal(words, width)
    for block in range(blocks):
        name, inner = f"blocks.{block}.", heads * 64
        draw.norm(tensors, name + "norm1", width, bias=False)
        for letter, (rows, columns) in {"q": (inner, width), "k": (inner, width), "v": (inner, width), "o": (width, inner)}.items():
            # umt5 does not divide its logits by the head's width, so its q and k are small.
            draw.linear(tensors, f"{name}attn.{letter}", rows, columns, bias=False, gain=0.35 if letter in "qk" else 1.0)
        draw.norm(tensors, name + "norm2", width, bias=False)
        draw.linear(tensors, name + "ffn.gate.0", ffn, width, bias=False)
        draw.linear(tensors, name + "ffn.fc1", ffn, width, bias=False)
        draw.linear(tensors, name + "ffn.fc2", width, ffn, bias=False)
        tensors[name + "pos_embedding.embedding.weight"] = draw.normal(32, heads)
    draw.norm(tensors, "norm", width, bias=False)
    return tensors


def clip(width: int = IMAGE_WIDTH, mlp: int = 512, layers: int = 3, image: int = 224, patch: int = 14, seed: int = 2) -> Tensors:
    """The vision half of Wan's open-clip model in Wan's names, fp32; heads are 80 wide."""
    draw, tensors = Weights(seed), {"log_scale": torch.tensor(4.6052)}
    tensors["visual.patch_embedding.weight"] = draw.normal(width, 3, patch, patch, std=(3 * patch * patch) ** -0.5)
    tensors["visual.cls_embedding"] = draw.normal(1, 1, width, std=0.2)
    tensors["visual.pos_embedding"] = draw.normal(1, (image // patch) ** 2 + 1, width, std=0.2)
    draw.norm(tensors, "visual.pre_norm", width)
    for layer in range(layers):
        name = f"visual.transformer.{layer}."
        draw.norm(tensors, name + "norm1", width)
        draw.linear(tensors, name + "attn.to_qkv", 3 * width, width)
        draw.linear(tensors, name + "attn.proj", width, width)
        draw.norm(tensors, name + "norm2", width)
        draw.linear(tensors, name + "mlp.0", mlp, width)
        draw.linear(tensors, name + "mlp.2", width, mlp)
    draw.norm(tensors, "visual.post_norm", width)
    tensors["visual.head"] = draw.normal(width, 1024, std=width**-0.5)
    return tensors


def quantized(tensors: Mapping[str, torch.Tensor], component: str, format_name: str, dtype: torch.dtype = torch.float32) -> Tensors:
    """The tensors as LightX2V's converter would write them: quantized weights with fp32 scales, the rest in dtype."""
    return mixed(tensors, component, lambda key: format_name, dtype)


def mixed(tensors: Mapping[str, torch.Tensor], component: str, format_of: Callable[[str], str | None], dtype: torch.dtype = torch.float32) -> Tensors:
    """The same with a format for each weight: format_of tells it by the weight's key, None where it stays float."""
    out: Tensors = {}
    for key, tensor in tensors.items():
        format_name = format_of(key) if tensor.ndim == 2 and re.fullmatch(QUANTIZED[component], key) else None
        if format_name:
            format_ = FORMATS[format_name]
            stored = format_.quantize(tensor)
            out[key] = stored.data
            out[key.removesuffix(".weight") + format_.keys["scale"]] = stored.scale
        else:
            out[key] = tensor.to(dtype)
    return out


FORMAT_OF_LAYER = {
    r"\bq\b|to_qkv|ffn\.0|mlp\.0|gate": "fp8-channel",
    r"\bk\b|ffn\.2|mlp\.2|fc1": "int8-channel",
    r"\bv\b|proj|fc2": "fp8-b128",
    r"\.0\..*\bo\b": "int4-g128",
}
"""Of a model that has every format and layers that stay float: what a key holds -> its format, the first that fits."""


def of_all_formats(key: str) -> str | None:
    """For mixed: every format in one model, and some layers float."""
    return next((name for pattern, name in FORMAT_OF_LAYER.items() if re.search(pattern, key)), None)


def save(tensors: Mapping[str, torch.Tensor], path: Path) -> Path:
    """Write the tensors as .safetensors, marked as random, or, like LightX2V's encoders, as a torch.save dictionary (.pth), which takes no mark."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors":
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path, MARK)
    else:
        torch.save(dict(tensors), path)
    return path


def save_split(tensors: Mapping[str, torch.Tensor], folder: Path) -> Path:
    """Write the tensors split by block, as LightX2V's converter does with --save_by_block."""
    parts: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        block = re.search(r"blocks\.(\d+)\.", key)
        number = block and int(block[1]) * (5 if "face_adapter" in key else 1)
        parts.setdefault("non_block" if block is None else f"block_{number}", {})[key] = tensor
    return _save_parts(parts, folder)


def save_chunked(tensors: Mapping[str, torch.Tensor], folder: Path, name: str = "converted", size: int = 100) -> Path:
    """Write the tensors in files of `size` tensors, as LightX2V's converter does by default."""
    keys = list(tensors)
    chunks = [keys[start : start + size] for start in range(0, len(keys), size)]
    return _save_parts({f"{name}_part{number}": {key: tensors[key] for key in chunk} for number, chunk in enumerate(chunks)}, folder)


def _save_parts(parts: Mapping[str, Tensors], folder: Path) -> Path:
    for name, part in parts.items():
        save(part, folder / f"{name}.safetensors")
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    index = {"metadata": {"total_size": size}, "weight_map": {key: f"{name}.safetensors" for name, part in parts.items() for key in part}}
    (folder / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def comfyui_mode(tensors: Mapping[str, torch.Tensor], component: str) -> Tensors:
    """The tensors as LightX2V's converter writes them with --comfyui_mode: fp8 with one scale a tensor."""
    out: Tensors = {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    for key, tensor in tensors.items():
        out[key] = tensor
        if tensor.ndim == 2 and re.fullmatch(QUANTIZED[component], key):
            scale = tensor.abs().max() / 448
            out[key] = (tensor / scale).clamp(-448, 448).to(torch.float8_e4m3fn)
            out[key.removesuffix(".weight") + ".scale_weight"] = scale
    return out


def core_tagged(tensors: Mapping[str, torch.Tensor], component: str, format_name: str) -> Tensors:
    """The tensors as ComfyUI's own quantized files have them: a scale a tensor (fp8) or a row (int8), and a tag a layer."""
    source = comfyui_mode(tensors, component) if format_name == "fp8-channel" else quantized(tensors, component, format_name)
    tag = json.dumps({"format": {"fp8-channel": "float8_e4m3fn", "int8-channel": "int8_tensorwise"}[format_name]})
    out = {key.replace(".scale_weight", ".weight_scale"): tensor for key, tensor in source.items() if key != "scaled_fp8"}
    layers = [key.removesuffix(".weight_scale") for key in out if key.endswith(".weight_scale")]
    return out | {f"{layer}.comfy_quant": torch.tensor(list(tag.encode()), dtype=torch.uint8) for layer in layers}


def light_compress(tensors: Mapping[str, torch.Tensor], format_name: str, seed: int = 3) -> Tensors:
    """A quantized DiT as LightCompress exports it: with a factor a channel taken out of q, k, v and the first FFN layer, and put into extra norms."""
    draw, tensors = Weights(seed), dict(tensors)
    norms: Tensors = {}
    readers = {"affine_norm1": ("self_attn.q", "self_attn.k", "self_attn.v"), "affine_norm3": ("ffn.0",)}
    for block in sorted({found[0] for key in tensors if (found := re.match(r"blocks\.\d+", key))}):
        for norm, layers in readers.items():
            factor = 2.0 ** draw.normal(tensors[f"{block}.{layers[0]}.weight"].shape[1])
            norms |= {f"{block}.{norm}.weight": factor, f"{block}.{norm}.bias": factor.clone()}
            for layer in layers:
                tensors[f"{block}.{layer}.weight"] = tensors[f"{block}.{layer}.weight"] / factor
    return quantized(tensors, "dit", format_name) | norms


SENTENCES = (
    "a cat walks over the sunny roof while a small dog sleeps below",
    "the slow river bends around old stones under a pale morning sky",
    "two children run along the beach with a bright red kite",
    "rain falls on the quiet street, lamps shine in the dark water",
)


def spiece() -> bytes:
    """A real sentencepiece model with umt5's special ids (pad 0, end 1, unknown 2) and under 100 pieces, trained on a handful of sentences."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SENTENCES * 50), model_writer=model, vocab_size=300, hard_vocab_limit=False, model_type="unigram",
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, minloglevel=2,
    )  # fmt: skip
    return model.getvalue()
