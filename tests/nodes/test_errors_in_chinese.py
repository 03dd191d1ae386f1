"""The errors of the nodes for a user whose ComfyUI is Chinese: the right values in them, and the English one as their cause, for the log."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pipeline
import pytest
import small_models
import torch
from comfy.model_patcher import ModelPatcher
from in_chinese import left_over
from lightquant.errors import LightQuantError
from lightquant.nodes import LightQuantExtension
from lightquant.nodes.attention import Attention
from lightquant.nodes.blocks import Blocks
from lightquant.nodes.download import Download
from lightquant.nodes.inspect import Inspect
from lightquant.nodes.loaders import LoadCLIP, LoadDiT, LoadT5
from lightquant.nodes.lora import LoRA
from lightquant.nodes.offload import Offload
from lightquant.nodes.pair import LoadDiTPair
from lightquant.nodes.quantize import Quantize
from lightquant.nodes.report import Report
from lightquant.nodes.save import Save
from lightquant.texts import translate
from offloading import INPUTS as OFFLOADING
from offloading import offloaded

pytestmark = pytest.mark.usefixtures("chinese")

FP8, INT8 = "wan_t2v_fp8.safetensors", "wan_t2v_int8.safetensors"
PAIR = {"scheme": "auto", "high_noise": "find it", "low_noise": "find it", "dtype": "auto", "missing_kernel": "substitute"}
QUANTIZING = {"scheme": "int8-torch", "missing_kernel": "substitute", "scale": "absmax"}
SAVING = {"filename": "saved", "layout": "single", "for": "lightx2v", "bake": False, "overwrite": False}
REPORT = {"checkpoint": f"diffusion_models/{INT8}", "against": "diffusion_models/wan_t2v.safetensors", "second": "none", "random": False}


def broken_file(models: Path, floats: dict, name: str) -> str:
    """One of ours with a layer's scale missing."""
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    del tensors["blocks.1.ffn.2.weight_scale"]
    return small_models.save(tensors, models / "diffusion_models" / name).name


def lacking_a_key(models: Path, floats: dict, name: str) -> str:
    tensors = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    del tensors["blocks.1.norm3.bias"]
    return small_models.save(tensors, models / "diffusion_models" / name).name


def gguf(models: Path, floats: dict, name: str) -> str:
    (models / "diffusion_models" / name).write_bytes(b"GGUF" + bytes(64))
    return name


def cut_off(models: Path, floats: dict, name: str) -> str:
    (models / "diffusion_models" / name).write_bytes((models / "diffusion_models" / FP8).read_bytes()[:-10])
    return name


REFUSED: dict[str, tuple[Callable[[], object], str]] = {
    "several fit": (
        lambda: LoadCLIP.execute(**{**pipeline.INPUTS, "checkpoint": "find it"}),
        r"LightQuant 在 .*clip_vision.* 中查找存储为 .*fp8-channel.* 的 CLIP 视觉编码器，"
        r"找到 2 个：.*-fp8\.pth, .*-int8\.pth。请选其中一个作为 checkpoint。",
    ),
    "none fits": (
        lambda: LoadDiT.execute(**{**pipeline.INPUTS, "checkpoint": "find it", "scheme": "int4-g128-torch"}),
        r"LightQuant 在 .* 中查找存储为 int4-g128 的 Wan DiT，没有找到；该模型只有：.*wan_t2v\.safetensors（未量化）.*请把文件放进其中一个文件夹",
    ),
    "another format": (
        lambda: pipeline.load_dit(INT8, scheme="fp8-vllm"),
        r"wan_t2v_int8\.safetensors 的存储格式是 int8-channel，而方案 fp8-vllm 读取 fp8-channel。适合此文件的方案：int8-vllm, .*；也可选 auto。",
    ),
    "no scheme": (lambda: pipeline.load_dit(INT8, scheme="nvfp4"), r"没有方案 nvfp4。可用的方案：auto、fp8-vllm, int8-vllm"),
    "no kernel": (
        lambda: pipeline.load_dit(INT8, scheme="int8-q8f", missing_kernel="stop"),
        r"int8-q8f 在本机无法运行：它需要 NVIDIA GPU，而这是 CPU。能读取 int8-channel 并在本机运行的方案：int8-torch.*。"
        r"请选其中一个，或把 missing_kernel 设为 substitute",
    ),
    "not quantized": (
        lambda: pipeline.load_dit("wan_t2v.safetensors"),
        r"LightQuant 无法加载 .*wan_t2v\.safetensors：这是未量化的 Wan DiT：.*“Load Diffusion Model”加载",
    ),
    "another component": (
        lambda: LoadT5.execute(**{**pipeline.INPUTS, "tokenizer": "find it", "checkpoint": "../diffusion_models/" + INT8}),
        r"LightQuant 在 ComfyUI 的 text_encoders 中没有找到文件 \.\./diffusion_models/wan_t2v_int8\.safetensors。请选别的",
    ),
    "no tokenizer": (
        lambda: LoadT5.execute(**{**pipeline.INPUTS, "checkpoint": "models_t5_umt5-xxl-enc-fp8.pth", "tokenizer": "models_t5_umt5-xxl-enc-int8.pth"}),
        r"LightQuant 在 .*models_t5_umt5-xxl-enc-int8\.pth 中没有找到分词器。请选 sentencepiece 的 \.model 文件",
    ),
    "one file for both": (
        lambda: LoadDiTPair.execute(**{**PAIR, "high_noise": INT8, "low_noise": INT8}),
        r"两个专家模型都是 .*wan_t2v_int8\.safetensors。请选同一个模型的高噪声和低噪声文件。",
    ),
    "no expert": (
        lambda: LoadDiTPair.execute(**PAIR),
        r"LightQuant 在 .* 中查找存储为 .* 的高噪声 Wan DiT，.*请",
    ),
    "no model to quantize": (
        lambda: Quantize.execute({"samples": torch.zeros(1)}, **QUANTIZING),
        r"LightQuant 收到的是 dict，应为 MODEL、CLIP 或 CLIP_VISION。",
    ),
    "quantized already": (
        lambda: Quantize.execute(pipeline.load_dit(FP8), **QUANTIZING),
        r"这个 MODEL 已经量化（fp8-channel，.*wan_t2v_fp8\.safetensors）。请加载浮点模型再量化。",
    ),
    "no name for a file": (
        lambda: Save.execute(pipeline.load_dit(FP8), **{**SAVING, "filename": "../out"}),
        r"'\.\./out' 不能作为 ComfyUI 的 diffusion_models 中的文件名。请用 wan/my_model 之类的名字。",
    ),
    "nothing to offload": (lambda: Offload.execute(**OFFLOADING), r"“卸载模型”没有连接任何输入。"),
    "a share of blocks that is none": (
        lambda: offloaded(pipeline.load_dit(FP8), keep=1.5),
        r"保留的 block 比例是 1\.5；必须在 0 到 1 之间。",
    ),
    "less than no VRAM": (lambda: offloaded(pipeline.load_dit(FP8), vram=-1.0), r"显存预算是 -1；必须为 0 或更大。"),
    "no such LoRA": (
        lambda: LoRA.execute(model=None, lora="absent.safetensors", strength=1.0, mode="beside"),
        r"LightQuant 在 ComfyUI 的 loras 中没有找到 LoRA absent\.safetensors。请选别的",
    ),
    "no such checkpoint": (
        lambda: Inspect.execute(checkpoint="loras/x.safetensors", data=False),
        r"LightQuant 不检查 loras/x\.safetensors：模型文件位于 diffusion_models, text_encoders, clip_vision。",
    ),
    "a report on a float model": (
        lambda: Report.execute(**{**REPORT, "checkpoint": REPORT["against"]}),
        r"LightQuant 无法报告 .*wan_t2v\.safetensors：没有一个权重带有缩放。请选量化的模型文件。",
    ),
    "a report on two models": (
        lambda: Report.execute(**{**REPORT, "against": "diffusion_models/wan_i2v.safetensors"}),
        r"LightQuant 无法比较 .*：它的 .* 是 \[.*\]，而另一个文件中是 \[.*\]。|.* 缺少 .* 的 \d+ 个权重：.*。请用同一个模型的两个完整文件。",
    ),
    "no attention kernel": (
        lambda: Attention.execute(pipeline.load_dit(FP8, attention="comfyui"), "sage", "stop"),
        r"注意力内核 sage 在本机无法运行：它需要 NVIDIA GPU，而这是 CPU。能在本机运行的：.*sdpa-flash.*。"
        r"请选其中一个，或把 missing_kernel 设为 substitute",
    ),
    "nothing to fuse": (
        lambda: Blocks.execute(ModelPatcher(torch.nn.Linear(2, 2), *2 * [torch.device("cpu")]), "share"),
        r"这个模型没有 Wan 的 block，因此没有可融合的内容。请连接“加载量化 DiT”输出的 MODEL。",
    ),
    "not in the catalogue": (lambda: Download.execute(name="../../x"), r"LightQuant 的目录里没有 \.\./\.\./x。"),
}  # fmt: skip


def raised(run: Callable[[], object]) -> LightQuantError:
    """The error as the page shows it, which has the English one as its cause."""
    with pytest.raises(LightQuantError) as caught:
        run()
    said, cause = caught.value, caught.value.__cause__
    assert type(said) is type(cause)
    assert translate(str(cause), "zh") == str(said) != str(cause)
    assert left_over(str(cause)) == []
    return said


@pytest.mark.parametrize("what", REFUSED)
def test_errors_come_in_chinese_with_their_values(what):
    run, expected = REFUSED[what]
    said = str(raised(run))
    assert re.search(expected, said), said


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (broken_file, r"LightQuant 无法加载 {file}：层 blocks\.1\.ffn\.2 已损坏或属于别的格式：它没有缩放（weight_scale）。请重新下载或转换文件。"),
        (lacking_a_key, r"LightQuant 无法加载 {file}：它缺少 1 个键：blocks\.1\.norm3\.bias。文件不完整"),
        (gguf, r"LightQuant 无法加载 {file}：这是 GGUF 文件。请用 GGUF 加载器加载"),
        (cut_off, r"LightQuant 无法加载 {file}：它在 \d+ 字节处结束，而文件头说有 \d+ 字节。文件已损坏或下载中断：请重新下载。"),
    ],
)
def test_files_that_are_refused(models, floats, make, expected):
    name = make(models, floats, "model (1), 副本.safetensors")
    path = models / "diffusion_models" / name
    try:
        said = str(raised(lambda: pipeline.load_dit(name)))
        assert re.search(expected.format(file=re.escape(str(path))), said), said
    finally:
        path.unlink()


def test_an_error_without_a_translation_comes_as_it_is(monkeypatch):
    def fail(*_):
        raise LightQuantError("Das ist kaputt.")

    monkeypatch.setattr("lightquant.nodes.lora.lora_path", fail)
    with pytest.raises(LightQuantError, match=r"Das ist kaputt\.") as caught:
        LoRA.execute(model=None, lora="a", strength=1.0, mode="beside")
    assert caught.value.__cause__ is None


def test_an_english_user_gets_the_error_itself(chinese):
    chinese.write_text("{}", encoding="utf-8")
    with pytest.raises(LightQuantError, match="There is no scheme nvfp4") as caught:
        pipeline.load_dit(INT8, scheme="nvfp4")
    assert caught.value.__cause__ is None


def test_every_node_raises_in_the_users_language():
    """No node is forgotten: `in_language` wraps the execute of each."""
    for node in asyncio.run(LightQuantExtension().get_node_list()):
        assert node.execute.__func__.__wrapped__.__name__ == "execute", node
