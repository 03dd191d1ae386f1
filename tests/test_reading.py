"""How an English text is read again: joined, nested, in columns, with values that look like texts."""

import functools

import pytest
from in_chinese import left_over
from lightquant import reading
from lightquant.reading import Catalogue
from lightquant.reports.fit import Wish, fit
from lightquant.reports.fit.text import to_text
from lightquant.texts import catalogue, language_of, translate, translate_all

MADE_UP = Catalogue(
    {
        "{0}, {1}": "{0}，{1}", "{0}; {1}": "{0}；{1}", "{0}: {1}": "{0}：{1}", "{0}. {1}": "{0}{1}", "{0} or {1}": "{0} 或 {1}",
        "{0} can't load {1}: {2}. Take another.": "{0} 无法加载 {1}：{2}。请换一个。", "{0} can't load {1}: {2}": "{0} 无法加载 {1}：{2}",
        "it is empty": "它是空的", "it is empty.": "它是空的。", "it has {0} keys too many{1}": "多了 {0} 个键{1}", " and {0} more": "等 {0} 个",
        "missing": "缺失", "of {0} in {1}": "在 {1} 中的 {0}", "fp8": "fp8", "int8": "int8", "the one": "那个", "wide heading": "很宽很宽的标题",
    }
)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("it is empty", "它是空的"),
        ("Q can't load a.pth: it is empty", "Q 无法加载 a.pth：它是空的"),
        ("Q can't load a.pth: it is empty. Take another.", "Q 无法加载 a.pth：它是空的。请换一个。"),
        ("Q can't load a.pth: torch's own words. Take another.", "Q 无法加载 a.pth：torch's own words。请换一个。"),
        ("of x in y", "在 y 中的 x"),
        ("it is empty; it has 3 keys too many and 2 more", "它是空的；多了 3 个键等 2 个"),
        ("a.pth: it is empty, it has 3 keys too many", "a.pth：它是空的，多了 3 个键"),
        ("it is empty. Q can't load a.pth: it is empty. Take another.", "它是空的。Q 无法加载 a.pth：它是空的。请换一个。"),
        ("fp8 or int8", "fp8 或 int8"),
        ("Q can't load missing: missing", "Q 无法加载 missing：missing"),
        ("missing", "缺失"),
        ("- it is empty", "- 它是空的"),
        ("a list of the words in some sentence that nobody has translated", "a list of the words in some sentence that nobody has translated"),
        ("missing, a, b", "missing, a, b"),
        ("a, b or c; d", "a, b or c; d"),
        ("Q can't load model (1).pth: it is empty", "Q 无法加载 model (1).pth：它是空的"),
    ],
)
def test_the_reading_that_explains_most_is_taken(text, said):
    assert MADE_UP.translate(text) == said


def test_an_error_with_lines_of_another_program_in_it_is_read_as_one():
    assert MADE_UP.translate("Q can't load a.pth: one\ntwo: three. Take another.") == "Q 无法加载 a.pth：one\ntwo: three。请换一个。"


def test_lines_and_columns_stay_where_they_are():
    text = "  the one     it is empty     12\n  missing     x               3\n\nthe one"
    assert MADE_UP.translate(text) == "  那个        它是空的        12\n  缺失        x               3\n\n那个"
    assert MADE_UP.translate("wide heading  x") == "很宽很宽的标题  x"


def test_a_long_list_of_names_takes_no_time():
    names = ", ".join(f"model {number} (low noise) and part or whole of it.safetensors" for number in range(2000))
    assert MADE_UP.translate(f"Q can't load {names}: it is empty") == f"Q 无法加载 {names}：它是空的"


def test_a_long_list_of_texts_is_translated_to_its_end():
    assert MADE_UP.translate("; ".join(["it is empty"] * 500)) == "；".join(["它是空的"] * 500)


NESTED = "Q can't load {}: it is empty. Take another."
PHRASE = "it needs sm_89 and newer, this GPU is sm_86 (older GPUs have no fp8 products); faster ones can't run here: "


@pytest.mark.parametrize("text", [functools.reduce(lambda inner, _: NESTED.format(inner), range(400), "x"), "(" * 20_000, "a, " * 10_000])
def test_whatever_the_text_it_is_read_without_an_error(text):
    said = MADE_UP.translate(text)
    assert said.count("it is empty") + said.count("它是空的") == text.count("it is empty")


def test_a_text_that_repeats_our_phrases_takes_bounded_work(monkeypatch):
    """As many readings are put together for a text five times as long, which is more than an answer of ours needs."""
    readings = []
    filled = reading._filled
    monkeypatch.setattr(reading, "_filled", lambda *what: readings.append(what) or filled(*what))
    made = []
    for length in (8_000, 40_000):
        catalogue("zh").translate((PHRASE * 400)[:length])
        made.append(len(readings))
        readings.clear()
    assert max(made) < 20_000, made


def test_a_long_report_is_read_to_its_end():
    """Lines of many clauses take the most work; two of them are the most that a report of ours has."""
    line = (
        "CLIP: umt5 text encoder, not quantized in this configuration: load it with ComfyUI's own node Load CLIP (type wan); not found: LightQuant "
        "looked for a umt5 text encoder that is not quantized in /a/{0}/Wan and, in it, in distill_int8, distill_fp8, distill_models, int8, fp8, "
        "original, and found none; of that kind there is only: int8/{0}-int8.pth, fp8/{0}.pth. Put it there, or name its path in the configuration."
    )
    assert left_over("\n".join(line.format(f"model {number}") for number in range(4))) == []


def test_a_report_is_read_line_by_line(monkeypatch):
    """Its lines are not taken apart together, in all the ways there are."""
    readings = []
    filled = reading._filled
    monkeypatch.setattr(reading, "_filled", lambda *what: readings.append(what) or filled(*what))
    report = to_text(fit(Wish(24.0, 32.0)))
    assert left_over(report) == []
    catalogue("zh").translate(report)
    assert len(readings) < 4_000


def test_a_text_is_translated_once(monkeypatch):
    translate("it needs sm_89 and newer, this GPU is sm_85", "zh")
    monkeypatch.setattr(Catalogue, "translate", None)
    assert translate("it needs sm_89 and newer, this GPU is sm_85", "zh").startswith("它需要 sm_89")


def test_english_stays_english():
    assert translate("it is empty", "en") == "it is empty"


@pytest.mark.parametrize(
    ("locale", "language"),
    [("zh", "zh"), ("zh-CN", "zh"), ("zh_TW.UTF-8", "zh"), ("ZH", "zh"), ("en", "en"), ("fr", "en"), ("C.UTF-8", "en"), ("", "en"), ("../zh", "en")],
)
def test_the_language_of_a_locale(locale, language):
    assert language_of(locale) == language


def test_a_json_value_keeps_its_keys_and_single_words():
    value = {"it is empty": ["it is empty", "missing", 3, None, True, ("the one",)], "state": {"why": "it is empty"}}
    said = {"it is empty": ["它是空的", "missing", 3, None, True, ["那个"]], "state": {"why": "它是空的"}}
    assert translate_all(value, MADE_UP.translate) == said


REASONS = {
    "fp8-vllm can't run here: it needs sm_89 and newer, this GPU is sm_86 (older GPUs have no fp8 products); fp8-torch stands in for it "
    "(auto: the weight expanded piece by piece, activations in float: no fp8 products here; it needs sm_89 and newer, this GPU is sm_86 "
    "(older GPUs have no fp8 products); faster ones can't run here: fp8-vllm, fp8-sgl (expected, not measured))":
    "fp8-vllm 在本机无法运行：它需要 sm_89 及更新，而这块 GPU 是 sm_86（更旧的 GPU 没有 fp8 乘法）；由 fp8-torch 代替"
    "（auto：权重逐块展开，激活用浮点：本机没有 fp8 乘法；它需要 sm_89 及更新，而这块 GPU 是 sm_86"
    "（更旧的 GPU 没有 fp8 乘法）；更快的在本机无法运行：fp8-vllm, fp8-sgl（这是预期，未经测量））",
    "No kernel for int4-g128 runs on cuda:0: int4-g128-marlin can't run here: vllm 0.26.0 (/venv/site packages/vllm): its check ended the process "
    "that ran it (exit code -11): Segmentation fault; int4-g128-torch can't run here: Triton, tiles brought by TMA is wrong here: relative error 0.2 "
    "in a product of 48 rows. Load a file of another format: fp8-channel, int8-channel.":
    "没有能在 cuda:0 上运行的 int4-g128 内核：int4-g128-marlin 在本机无法运行：vllm 0.26.0 (/venv/site packages/vllm)：检查它的进程意外结束"
    "（退出码 -11）：Segmentation fault；int4-g128-torch 在本机无法运行：Triton，分块由 TMA 载入：在本机结果不对：48 行的乘法，相对误差 0.2。"
    "请加载其他格式的文件：fp8-channel，int8-channel。",
    "torch._scaled_mm with row-wise scales; first in the order of speed, measured on an H200":
    "torch._scaled_mm，逐行缩放；速度排在最前，在一块 H200 上实测",
    "LightQuant looked for a high-noise Wan DiT stored as fp8-channel or int8-channel in /a/diffusion models, /b and found 2: /a/x high.safetensors, "
    "/b/y_high_noise.safetensors. Pick one of them as the checkpoint.":
    "LightQuant 在 /a/diffusion models, /b 中查找存储为 fp8-channel 或 int8-channel 的高噪声 Wan DiT，找到 2 个：/a/x high.safetensors, "
    "/b/y_high_noise.safetensors。请选其中一个作为 checkpoint。",
}  # fmt: skip


@pytest.mark.parametrize("text", REASONS)
def test_what_is_put_together_from_many(text):
    assert translate(text, "zh") == REASONS[text]
    assert left_over(text) == []
