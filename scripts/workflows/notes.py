"""The notes in the workflows, in English and Chinese: what each is for, and what a newcomer would trip over."""

from __future__ import annotations

from .parts import TOKENIZER

_T2V = f"""## Wan2.1 text to video, 1.3B
The smallest download. The float file is quantized to fp8 while it loads. On an RTX 20 or 30 pick the scheme `int8-torch`.
The loader says which kernel it took and why.

{TOKENIZER}

## Wan2.1 文生视频 1.3B
下载量最小。浮点文件在加载时量化为 fp8。RTX 20、30 请选方案 `int8-torch`。加载节点会说明用了哪个内核以及原因。"""

_4STEP = f"""## Wan2.1 text to video in 4 steps
LightX2V's distilled 14B model in fp8: 4 steps, cfg 1, shift 5. With cfg 1 the negative prompt has no effect.
On an RTX 20 or 30 take the int8 file, `wan2.1_t2v_14b_int8_lightx2v_4step.safetensors`.

{TOKENIZER}

## Wan2.1 四步文生视频
LightX2V 的 14B 蒸馏模型，fp8：4 步，cfg 1，shift 5。cfg 为 1 时负面提示词不起作用。加载节点会说明用了哪个内核以及原因。RTX 20、30 请用 int8 文件 `wan2.1_t2v_14b_int8_lightx2v_4step.safetensors`。"""

_I2V = f"""## Wan2.1 image to video with CLIP
DiT, text encoder and CLIP vision are all int8 files of LightX2V's. Wan2.1's image models look at the start image through CLIP too;
Wan2.2 does without. 4 steps, cfg 1, shift 5.

{TOKENIZER}

## Wan2.1 图生视频（带 CLIP）
DiT、文本编码器、CLIP 视觉都是 LightX2V 的 int8 文件。Wan2.1 的图生视频模型还通过 CLIP 看起始图，Wan2.2 不需要。4 步，cfg 1，shift 5。"""

_EXPERTS = f"""## Wan2.2 image to video, two experts
One node loads both experts. The high-noise one runs the first two steps and passes its noise on; the low-noise one runs the last two.
Both samplers need the same number of steps.

{TOKENIZER}

## Wan2.2 图生视频，两个专家模型
一个节点加载两个专家模型。高噪声的跑前两步并把剩余噪声传下去，低噪声的跑后两步。两个采样器的步数必须相同。"""

_OFFLOAD = f"""## A 14B model on an 8 GB card
*Offload Model* keeps 1.5 GiB of each model's weights in VRAM and streams the rest; `chunk_rows` computes the FFN in pieces; the VAE decodes in
tiles. These values are meant for 8 GB but have not been measured on such a card: lower `vram`, the frames or the size if it runs out of memory,
raise `vram` while some is free.

{TOKENIZER}

## 8 GB 显卡运行 14B 模型
“卸载模型”让每个模型只有 1.5 GiB 权重留在显存，其余按需传送；`chunk_rows` 让 FFN 分段计算；VAE 分块解码。这些值按 8 GB 选定，但没有在这种显卡上测过：显存不足时减小 `vram`、帧数或尺寸，还有富余时增大 `vram`。"""

_LORA = f"""## A LoRA on a quantized model
LightX2V's 4-step LoRA on ComfyUI's fp8 file of Wan2.1 T2V 14B. `beside` computes the LoRA beside the quantized layers, so that it is never
rounded into 8 bits; `bake` rounds it into the weights and shows the error. Several of these nodes can follow each other.

{TOKENIZER}

## 量化模型上的 LoRA
在 ComfyUI 的 Wan2.1 T2V 14B fp8 文件上用 LightX2V 的四步 LoRA。`beside` 在量化层旁边计算 LoRA，不会把它舍入到 8 位；`bake` 把它舍入进权重并显示误差。可以接连使用多个。"""

_SAVE = """## Quantize a model once and keep the file
The float model is quantized on the GPU where it fits, layer by layer, and written to `models/diffusion_models/lightquant`.
Press R afterwards and pick the file in *Load Quantized DiT*. `overwrite` is off: another run needs another name.
The node takes a CLIP or a CLIP_VISION too. `for` = `comfyui` writes a file that ComfyUI's own loader reads.

## 量化一次并保存文件
浮点模型逐层量化（放得下时在 GPU 上），写入 `models/diffusion_models/lightquant`。之后按 R，在“加载量化 DiT”中选择该文件。`overwrite` 是关的：再次运行要换个名字。
本节点也接受 CLIP 和 CLIP_VISION。`for` 选 `comfyui` 时写出 ComfyUI 自带节点能读的文件。"""

_COMPARE = f"""## Schemes side by side
One file, one seed, three runs: as it is, in fp8 and in int8, stitched into one video. Change `scheme` in the two loaders to compare others;
one that can't run here says why and takes another kernel of its format.

{TOKENIZER}

## 并排比较方案
同一文件、同一种子，跑三次：原样、fp8、int8，拼成一个视频。改两个加载节点的 `scheme` 可比较其他方案；本机不能运行的会说明原因，并改用同一格式的另一个内核。"""

NOTES: dict[str, tuple[str, int]] = {
    "wan2.1_t2v": (_T2V, 560),
    "wan2.1_t2v_4step": (_4STEP, 580),
    "wan2.1_i2v_clip": (_I2V, 580),
    "wan2.2_i2v_two_experts": (_EXPERTS, 580),
    "wan2.1_t2v_8gb_offload": (_OFFLOAD, 680),
    "wan2.1_t2v_lora": (_LORA, 640),
    "quantize_and_save": (_SAVE, 480),
    "compare_schemes": (_COMPARE, 580),
}
"""By workflow: the text and the height that it takes, in pixels."""
