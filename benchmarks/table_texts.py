"""What the tables of the READMEs say beside their figures, by language."""

TEXTS = {
    "en": {
        "not measured": "Not measured yet.",
        "weights": {
            "gaussian": "random, Gaussian",
            "heavy": "random, heavy-tailed: rows over two decades, outlier columns, a few large channels in the modulation",
        },
        "dit": "Wan2.1-T2V-14B, {width}x{height}, {frames} frames, {blocks} blocks, cfg 1, sampler euler, {steps} steps a run; "
        "a step's time is the median of {samples}, the error against bf16 is that of the first prediction (seeds: {seeds}). "
        "Weights: {weights}. They are random, so nothing here says anything about picture quality.",
        "machine": "{gpu}, driver {driver}, torch {torch}, Triton {triton}, {others}Python {python}, {date}, commit {commit}.",
        "brackets": "In brackets: the figure divided by ComfyUI core's in the same kind of numbers; below 1 is better. "
        "core-fp8 has one scale a tensor, core-int8 one a row.",
        "dit columns": (
            "variant",
            "s/step",
            "speed, bf16 = 1",
            "peak VRAM, GiB",
            "error against bf16",
            "error of latents",
            "same again",
        ),
        "start": "Wan2.1-T2V-14B from the file (in the page cache) to the end of the first step, 832x480, 81 frames, cfg 1: the median of {starts} "
        "starts, each in a process of its own, the variants taking turns. Host memory: the most anonymous, shared and pinned memory that the process "
        "held, its libraries included.",
        "start columns": ("variant", "file, GiB", "file to first step, s", "host memory, GiB"),
        "linear": "The linears of one {model} block at {rows} rows, activation quantization included: {linears} ({what}). Sums of medians. "
        "The errors are the largest over every shape and number of rows measured, against fp32 arithmetic on the same quantized operands. "
        "Operands are random.",
        "block columns": ("kernel", "format", "block, ms", "speed, bf16 = 1", "of it the quantizer, ms", "largest error"),
        "crossover": "From how many rows on it pays to expand the weight of `int4-g128-marlin` and multiply in bf16 instead:",
        "crossover columns": ("inputs → outputs", "rows"),
        "never": "never",
        "plot": "Speed of every kernel over the number of rows, bf16 = 1",
        "missing": "Not run there: {schemes}.",
        "exactness": "Every kernel against fp32 arithmetic on the same quantized operands: random, heavy-tailed, all-zero-row and huge activations, "
        "1 to 5 dimensions, non-contiguous views, 1 to {rows} rows, with and without bias. The worst relative error of each dtype, "
        "and in brackets what is allowed.",
        "exactness columns": ("kernel", "products", "bf16", "fp16", "fp32", "failing"),
        "more dit columns": {
            "attention": "attention",
            "cosine": "cosine of latents",
            "attention_s": "of a step: attention, s",
            "products_s": "products, s",
            "between_s": "between them, s",
        },
        "static": "Without dynamic VRAM, which TorchCompileModel turns off: {variants}.",
        "attention": "Attention of one block in bf16, random operands, torch's own as ComfyUI asks for it in the first column: milliseconds, and in "
        "brackets the ratio to that; a dash: the kernel does not take it.",
        "attention column": "attention",
        "attention kernel columns": ("kernel", "largest error against fp32", "same bits twice", "host time of a call, µs"),
        "fused": "The steps between the products of one Wan 14B block at {rows} rows, with the quantization that follows: milliseconds, separate → "
        "in one pass ({by}); by what the next product takes.",
        "fused column": "step",
        "a block": "a block",
        "encoders": "Wan's encoders, random weights of true size, loaded: a prompt of 512 tokens, an image of 832x480; each the median of {samples} "
        "calls, the variants taking turns. In brackets: the ratio to ComfyUI's float layers.",
        "encoders columns": ("encoder", "file", "kernel", "a call, ms", "file, GiB", "error against float"),
        "t5": "umt5-xxl",
        "clip": "ViT-H",
        "convert": "`lightquant convert` of a bf16 Wan2.1-T2V-14B with random weights, its process's start included, beside a copy that reads and "
        "writes the same bytes; in brackets the ratio to it.",
        "convert columns": ("format", "device", "read, GiB", "written, GiB", "conversion, s", "copy, s", "host memory, GiB"),
        "offload": "Wan2.1-T2V-14B, 832x480, 81 frames, cfg 1, random weights, attention `{attention}`; another process holds the VRAM down to the "
        "limit. VRAM is the driver's figure above an idle CUDA context, host memory what the process held of anonymous, shared and pinned memory. "
        "In brackets: the ratio to the resident model of the same format.",
        "offload columns": ("way", "s/step", "limit, GiB", "peak VRAM, GiB", "host memory, GiB", "latents as resident"),
        "stress": "Runs in a row, a quarter each interrupted, out of memory, or behind another model's run; and what is left of "
        "memory afterwards, against before.",
        "stress columns": (
            "way",
            "runs",
            "raised / to raise",
            "wrong pictures",
            "s/step (longest)",
            "VRAM left, GiB",
            "host memory left, GiB",
            "within 1 %",
        ),
        "lora": "Wan2.1-T2V-14B, 832x480, 81 frames, cfg 1, random weights, `{scheme}`, attention `{attention}`, a random LoRA of rank {rank} on the "
        "linears. In brackets: the ratio to no LoRA in the same memory mode. The error is the first prediction's against bf16 with that LoRA.",
        "lora columns": ("way", "s/step", "peak VRAM, GiB", "error"),
        "comma": ", ",
        "yes": "yes",
        "no": "no",
    },
    "zh": {
        "not measured": "尚未测量。",
        "weights": {
            "gaussian": "随机，高斯分布",
            "heavy": "随机，重尾分布：各行幅度跨两个数量级，有离群列，调制（modulation）中有少数很大的通道",
        },
        "dit": "Wan2.1-T2V-14B，{width}x{height}，{frames} 帧，{blocks} 个 block，cfg 1，采样器 euler，每次运行 {steps} 步；"
        "每步耗时取 {samples} 个样本的中位数；相对 bf16 的误差是首步预测的误差，取 {seeds} 个种子的平均。"
        "权重：{weights}。权重是随机的，因此这里的数字不说明画质。",
        "machine": "{gpu}，驱动 {driver}，torch {torch}，Triton {triton}，{others}Python {python}，{date}，提交 {commit}。",
        "brackets": "括号内：该数值除以 ComfyUI 核心同类格式的数值，小于 1 更好。core-fp8 每个张量一个缩放，core-int8 每行一个缩放。",
        "dit columns": (
            "变体",
            "秒/步",
            "速度（bf16 = 1）",
            "显存峰值（GiB）",
            "相对 bf16 的误差",
            "latent 误差",
            "重复运行一致",
        ),
        "start": "Wan2.1-T2V-14B 从文件（在页缓存中）到第一步结束，832x480，81 帧，cfg 1：取 {starts} 次启动的中位数，"
        "每次都是新的进程，各变体轮流进行。主机内存：进程持有的匿名、共享和锁定内存之和的最大值，包括它加载的库。",
        "start columns": ("变体", "文件（GiB）", "从文件到第一步（秒）", "主机内存（GiB）"),
        "linear": "{model} 一个 block 的线性层，{rows} 行，包含激活量化：{linears}（{what}）。各中位数之和；"
        "误差是所有测过的形状和行数中最大的，以相同量化操作数的 fp32 运算为基准。操作数是随机的。",
        "block columns": ("内核", "格式", "block（毫秒）", "速度（bf16 = 1）", "其中量化（毫秒）", "最大误差"),
        "crossover": "行数达到多少时，展开 `int4-g128-marlin` 的权重并用 bf16 相乘更快：",
        "crossover columns": ("输入 → 输出", "行数"),
        "never": "从不",
        "plot": "每个内核的速度随行数的变化，bf16 = 1",
        "missing": "未在该机器上运行：{schemes}。",
        "exactness": "每个内核以相同量化操作数的 fp32 运算为基准：随机、重尾、含全零行和极大值的激活，1 到 5 维，非连续视图，"
        "1 到 {rows} 行，有无 bias。各 dtype 的最大相对误差，括号内为允许的上限。",
        "exactness columns": ("内核", "乘积数", "bf16", "fp16", "fp32", "不合格"),
        "more dit columns": {
            "attention": "注意力",
            "cosine": "latent 余弦相似度",
            "attention_s": "一步中：注意力（秒）",
            "products_s": "矩阵乘（秒）",
            "between_s": "其余（秒）",
        },
        "static": "未使用动态显存（TorchCompileModel 会将其关闭）：{variants}。",
        "attention": "一个 block 的注意力，bf16，操作数随机，第一列为 ComfyUI 向 torch 要求的实现：毫秒，括号内为与它的比值；横线：该内核不接受。",
        "attention column": "注意力",
        "attention kernel columns": ("内核", "相对 fp32 的最大误差", "两次结果逐位一致", "一次调用的主机时间（微秒）"),
        "fused": "一个 Wan 14B block 中矩阵乘之间的各步，{rows} 行，包含随后的量化：毫秒，逐步 → 合成一遍（{by}），按下一个矩阵乘所需的类型分列。",
        "fused column": "步骤",
        "a block": "一个 block",
        "encoders": "Wan 的编码器，真实大小，随机权重，已加载：512 个 token 的提示词，832x480 的图像；各取 {samples} 次调用的中位数，"
        "各变体轮流进行。括号内：与 ComfyUI 浮点层的比值。",
        "encoders columns": ("编码器", "文件", "内核", "一次调用（毫秒）", "文件（GiB）", "相对浮点的误差"),
        "t5": "umt5-xxl",
        "clip": "ViT-H",
        "convert": "用 `lightquant convert` 转换随机权重的 bf16 Wan2.1-T2V-14B，包括进程启动，与读写相同字节数的普通复制对照；括号内为与它的比值。",
        "convert columns": ("格式", "设备", "读取（GiB）", "写入（GiB）", "转换（秒）", "复制（秒）", "主机内存（GiB）"),
        "offload": "Wan2.1-T2V-14B，832x480，81 帧，cfg 1，随机权重，注意力 `{attention}`；另一个进程占住显存，只留下限额。显存是驱动给出的、"
        "高于空闲 CUDA 上下文的数值；主机内存是进程持有的匿名、共享和锁定内存。括号内：与同一格式常驻模型的比值。",
        "offload columns": ("方式", "秒/步", "限额（GiB）", "显存峰值（GiB）", "主机内存（GiB）", "latent 与常驻一致"),
        "stress": "连续运行，其中各四分之一被中断、显存不足，或排在另一个模型的运行之后；以及之后剩余的内存与之前相比。",
        "stress columns": (
            "方式",
            "运行次数",
            "已报错 / 应报错",
            "错误图像",
            "秒/步（最长）",
            "残留显存（GiB）",
            "残留主机内存（GiB）",
            "在 1 % 以内",
        ),
        "lora": "Wan2.1-T2V-14B，832x480，81 帧，cfg 1，随机权重，`{scheme}`，注意力 `{attention}`，所有线性层上秩为 {rank} 的随机 LoRA。"
        "括号内：与相同内存模式下无 LoRA 的比值。误差是首步预测相对于带同一 LoRA 的 bf16 的误差。",
        "lora columns": ("方式", "秒/步", "显存峰值（GiB）", "误差"),
        "comma": "，",
        "yes": "是",
        "no": "否",
    },
}
