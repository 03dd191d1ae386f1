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
        "comma": "，",
        "yes": "是",
        "no": "否",
    },
}
