"""What the nodes show and write for a user whose ComfyUI is Chinese; what they give to programs stays English."""

import json
import re
from pathlib import Path

import float_models
import folder_paths
import pipeline
import pytest
import small_loras
from in_chinese import CHINESE
from lightquant.attention.tally import Tally
from lightquant.bridge import kernels_here, status
from lightquant.bridge.attention_hook import set_override
from lightquant.errors import LightQuantError
from lightquant.nodes.attention import Attention
from lightquant.nodes.blocks import Blocks
from lightquant.nodes.inspect import Inspect
from lightquant.nodes.kernels import Kernels
from lightquant.nodes.loaders import LoadDiT, LoadT5
from lightquant.nodes.lora import LoRA
from lightquant.nodes.offload import Offload
from lightquant.nodes.quantize import Quantize
from lightquant.nodes.report import Report
from lightquant.nodes.save import Save
from lightquant.texts import translate
from offloading import INPUTS as OFFLOADING
from offloading import sample

pytestmark = pytest.mark.usefixtures("chinese")

FP8, INT8 = "wan_t2v_fp8.safetensors", "wan_t2v_int8.safetensors"
QUANTIZING = {"scheme": "int8-torch", "missing_kernel": "substitute", "scale": "absmax"}
SAVING = {"filename": "saved", "layout": "single", "for": "lightx2v", "bake": False, "overwrite": False}
REPORT = {"checkpoint": f"diffusion_models/{INT8}", "against": "diffusion_models/wan_t2v.safetensors", "second": "none", "random": False}


def text_of(output) -> str:
    (text,) = output.ui.as_dict()["text"]
    return text


def test_the_loaders_say_what_they_took():
    text = text_of(LoadDiT.execute(**{**pipeline.INPUTS, "checkpoint": FP8, "scheme": "fp8-sgl"}))
    kernel, file, why, blocks, attention = text.splitlines()
    assert re.fullmatch(r"内核 fp8-torch，fp8-channel，权重 0\.0\d GiB（20 个量化层）", kernel)
    assert file.endswith(f"/diffusion_models/{FP8}")
    assert why.startswith("选它的理由：fp8-sgl 在本机无法运行：它需要 NVIDIA GPU，而这是 CPU；由 fp8-torch 代替（auto：")
    assert blocks == "block，plain：ComfyUI 自己的（auto：融合用于 NVIDIA GPU）"
    assert attention == "注意力：ComfyUI 自己的；auto：没有内核在这种设备上实测过，因此保留 ComfyUI 自己的"
    inputs = {**pipeline.INPUTS, "checkpoint": "models_t5_umt5-xxl-enc-int8.pth", "tokenizer": "google/umt5-xxl/spiece.model"}
    assert re.search(r"^分词器：.*spiece\.model$", text_of(LoadT5.execute(**inputs)), re.MULTILINE)


def test_the_inspectors_report(models):
    output = Inspect.execute(checkpoint="diffusion_models/wan_i2v_int8.safetensors", data=True)
    text, as_json, _ = output.args
    assert text == text_of(output)
    for line in (
        r"模型\s+Wan DiT：Wan2\.1 I2V；.* 参数，2 个 block，宽度 256",
        r"格式\s+int8-channel，\d+ 个量化层",
        r"没有可疑之处",
        r"量化权重\s+[\d.]+ MiB\s+[\d.]+ %",
    ):
        assert re.search(line, text), line
    assert json.loads(as_json)["title"] == "Wan DiT"
    assert not CHINESE.search(as_json)


def test_the_kernel_report(monkeypatch):
    monkeypatch.setattr(kernels_here, "_last", None)
    text, as_json = Kernels.execute(recheck=False).args
    assert text.startswith("LightQuant 内核报告\n")
    assert re.search(r"^fp8-vllm +fp8-channel +无法运行 +vllm$", text, re.MULTILINE)
    assert re.search(r"^  原因 +它需要 NVIDIA GPU，而这是 CPU$", text, re.MULTILINE)
    assert re.search(r"^注意力$", text, re.MULTILINE)
    assert re.search(r"^sdpa-flash +精确 +可运行 +torch", text, re.MULTILINE)
    assert re.search(r"^  auto +ComfyUI 自己的：没有内核在这种设备上实测过，因此保留 ComfyUI 自己的$", text, re.MULTILINE)
    assert not CHINESE.search(as_json)


def test_the_error_report_and_its_page():
    text, as_json, _, page = Report.execute(**{**REPORT, "second": f"diffusion_models/{FP8}"}).args
    assert text.startswith(f"权重的误差：{INT8} 和 {FP8}")
    assert re.search(r"^  层的种类 +相对误差 +SQNR +字节 +节省的字节 +每节省一字节的误差 +饱和通道 +死通道$", text, re.MULTILINE)
    assert text.endswith(f"网页：{page}")
    html = Path(page).read_text(encoding="utf-8")
    assert '<html lang="zh">' in html
    for words in (
        "<h2>最差的十层</h2>",
        "权重是随机的：",
        'aria-label="误差热图"',
        "<title>权重的误差：",
        "由 LightQuant ",
        "<summary>按 block</summary>",
    ):
        assert words in html
    visible = re.sub(r"<(script|style)\b.*?</\1>|<[^>]*>", "\n", html, flags=re.DOTALL)
    assert not [line for line in visible.splitlines() if re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", line)]
    assert not CHINESE.search(as_json)


def test_what_a_lora_became(tmp_path, add_folder):
    add_folder("loras", tmp_path)
    path = small_loras.save(tmp_path, "node.safetensors", small_loras.factors(small_loras.QUANTIZED))
    model = pipeline.load_dit(INT8)
    beside = text_of(LoRA.execute(model=model, lora="node.safetensors", strength=0.5, mode="beside")).splitlines()
    assert beside[:3] == [path, "强度 0.5，beside", "在旁边计算：20 层（20 LoRA）"]
    assert re.fullmatch(r"因子 [\d.]+ MiB，包括这个模型的所有 LoRA", beside[3])
    baked = text_of(LoRA.execute(model=model, lora="node.safetensors", strength=0.5, mode="bake"))
    assert re.search(r"^舍入到 20 个量化层：误差是本来改动的 [\d.]+，实际到达的改动与它的余弦 [\d.]+$", baked, re.MULTILINE)


def test_what_offloading_will_use_and_used(monkeypatch, request):
    if request.config.getoption("--dynamic-vram"):
        pytest.skip("the node says other things there")
    said = []
    monkeypatch.setattr("lightquant.nodes.offload.show", lambda text, node: said.append(status.show(text, node)) or said[-1])
    output = Offload.execute(model=pipeline.load_dit(FP8), **{**OFFLOADING, "keep": 0.5, "chunk_rows": 4})
    assert re.match(r"model：按 block：2 个 block 中有 1 个留在显存中，其余的 [\d.]+ GiB 每一步流式传输。", said[0])
    assert "它在 CPU 上计算，没有显存可省" in said[0]
    assert output.args[1].message == "“卸载模型”的输入 clip 没有连接。"
    sample(output.args[0])
    assert re.match(r"model 已用：留在设备上的权重：[\d.]+ GiB\n流式传输 [\d.]+ GiB，共 \d+ 次，其中 \d+ 次没有料到；锁页内存 [\d.]+ GiB", said[1])
    assert "FFN 每块 4 行：第一个 block 的 8 行上，与合为一块相比逐位相同" in said[1]


def answering(own, *args, **kwargs):
    """Another node's override."""
    return own(*args, **kwargs)


def test_which_kernel_computes_the_attention_and_computed_it(monkeypatch):
    said = []
    monkeypatch.setattr("lightquant.nodes.attention.show", lambda text, node: said.append(status.show(text, node)) or said[-1])
    model = pipeline.load_dit(FP8, attention="comfyui")
    assert text_of(Attention.execute(model, "comfyui", "stop")) == "注意力：ComfyUI 自己的；按要求"
    assert text_of(Attention.execute(model, "auto", "stop")) == "注意力：ComfyUI 自己的；auto：没有内核在这种设备上实测过，因此保留 ComfyUI 自己的"
    assert re.fullmatch(
        r"注意力：ComfyUI 自己的；sage 在本机无法运行：它需要 NVIDIA GPU，而这是 CPU；由 ComfyUI 自己的代替（auto：.*）",
        text_of(Attention.execute(model, "sage", "substitute")),
    )
    set_override(model, answering)
    output = Attention.execute(model, "sdpa-flash", "stop")
    assert text_of(output) == (
        "注意力：sdpa-flash；torch 的 SDPA（用于 CPU 的分块注意力）\n"
        f"这个模型上有另一个节点的覆盖（{__name__}.answering），它优先：它留给 ComfyUI 的调用交给 sdpa-flash"
    )
    sample(output.args[0], steps=1, cfg=1.0)
    assert said[-1] == f"{text_of(output)}\n上次运行的注意力：sdpa-flash 计算 4 次"


@pytest.mark.parametrize(
    ("handed", "expected"),
    [
        ({"a mask": 1}, "上次运行的注意力：sdpa-cudnn 计算 1 次；ComfyUI 自己的计算 1 次（有掩码：1）"),
        (
            {"a head's width that it does not take": 3, "a mask of another kind": 2},
            "上次运行的注意力：sdpa-cudnn 计算 1 次；ComfyUI 自己的计算 5 次（不接受该头宽度：3，掩码属于别的类型：2）",
        ),
    ],
)
def test_what_a_kernel_left_to_comfyui(handed, expected):
    tally = Tally()
    tally.took("sdpa-cudnn")
    for why, count in handed.items():
        for _ in range(count):
            tally.handed(why)
    assert translate(tally.describe(), "zh") == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("plain", "block，plain：ComfyUI 自己的（按要求）"),
        ("share", "block，share：每个激活只量化一次，供所有与它相乘的层使用"),
        ("fuse", "block，fuse：归一化、调制、残差、GELU 和旋转位置编码各自与随后的量化一遍算完"),
        ("auto", "block，plain：ComfyUI 自己的（auto：融合用于 NVIDIA GPU）"),
    ],
)
def test_how_the_blocks_are_computed(mode, expected):
    model = pipeline.load_dit(FP8)
    assert text_of(Blocks.execute(model, mode)) == expected
    model.set_model_patch_replace(lambda arguments, extra: extra["original_block"](arguments), "dit", "double_block", 1)
    second = "" if mode in ("plain", "auto") else "\n2 个 block 中有 1 个已由另一个节点接管，保持不变"
    assert text_of(Blocks.execute(model, mode)) == expected + second


def test_quantizing_and_saving(models, floats, tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "diffusion_models", ([str(tmp_path)], {".safetensors"}))
    quantized = Quantize.execute(float_models.load_dit(floats["dit"]), **QUANTIZING)
    assert "MODEL，在工作流中量化，absmax" in text_of(quantized)
    saved = Save.execute(quantized.args[0], **SAVING)
    assert re.fullmatch(rf"{tmp_path}/saved\.safetensors：int8-channel，[\d.]+ MiB，用于 lightx2v", text_of(saved))
    with pytest.raises(LightQuantError, match="已存在。请换一个名字，或打开 overwrite。"):
        Save.execute(quantized.args[0], **SAVING)
