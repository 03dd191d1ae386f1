"""`lightquant fit`."""

import json
import re

import pytest
from lightquant.cli import main

ASKED = ("fit", "--vram", "8", "--ram", "16", "--frames", "81", "--size", "832x480")
OLD, SMALL = ("--gpu", "RTX 2060", "--ram", "24", "--model", "wan2.2-i2v-a14b"), ("--vram", "2", "--ram", "2")


def test_it_ranks_what_fits_and_says_what_to_set(capsys):
    assert main([*ASKED]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Wan2.1 T2V 14B, 832x480, 81 frames: 32760 tokens")
    for said in ("Best first", "1.   ", "What to set for the first", "What does not fit", "umt5-xxl: fits in", "not measured", "Notes:"):
        assert said in out


def test_json(capsys):
    assert main([*ASKED, "--json", "--gpu", "RTX 4070", "--scheme", "fp8-sgl", "--model", "wan2.1-t2v-1.3b"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["wish"]["gpu"], found["wish"]["vram_gib"], found["model"]) == ("RTX 4070", 8, "Wan2.1 T2V 1.3B")
    assert {option["scheme"] for option in found["options"]} == {"fp8-sgl"}


def test_the_cards_own_vram_and_the_reserve(capsys):
    assert main(["fit", "--gpu", "4090", "--ram", "64", "--reserve", "2", "--disk", "7", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["wish"]["vram_gib"], found["vram_gib"], found["wish"]["disk_gb_s"]) == (24, 22, 7)


def test_nothing_fits_ends_with_1(capsys):
    assert main(["fit", "--vram", "2", "--ram", "16"]) == 1
    out = capsys.readouterr().out
    assert "Nothing fits." in out
    assert "The least VRAM that would do" in out
    assert "frames fit" in out


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--vram", "0", "--ram", "16"), "lightquant fit: The VRAM is given as 0"), (("--vram", "8", "--ram", "nan"), "The RAM is given as nan"),
        (("--ram", "16"), "Neither the VRAM nor the card"), (("--vram", "8", "--ram", "16", "--frames", "80"), "take 77 or 81"),
        (("--vram", "8", "--ram", "16", "--size", "831x480"), "The width is 831"), (("--ram", "16", "--gpu", "GTX 1080"), "has no 'GTX 1080'"),
    ],
)  # fmt: skip
def test_a_question_that_makes_no_sense_ends_with_2(options, said, capsys):
    assert main(["fit", *options]) == 2
    caught = capsys.readouterr()
    assert said in caught.err
    assert caught.out == ""


@pytest.mark.parametrize(
    "options",
    [
        ("--vram", "8"), ("--vram", "much", "--ram", "16"), ("--vram", "8", "--ram", "16", "--size", "480p"),
        ("--vram", "8", "--ram", "16", "--size", "x"),
        ("--vram", "8", "--ram", "16", "--model", "wan9"), ("--vram", "8", "--ram", "16", "--scheme", "nvfp4"),
    ],
)  # fmt: skip
def test_options_that_there_are_not_are_argparses(options, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["fit", *options])
    assert caught.value.code == 2
    assert "usage: lightquant fit" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (ASKED[1:], r"^1\. .*  9\.1  .*  ComfyUI 的动态显存  "),
        (ASKED[1:], r"^12\. .*  22\.2（9\.2 来自磁盘）  "),
        (ASKED[1:], r"^  “卸载模型”：granularity block, vram 4\.4；其余保持默认$"),
        (ASKED[1:], r"^  umt5-xxl：用 int8-channel 放得下，但不能与模型同时：.*（GiB: bf16 10\.6, "),
        (OLD, r"^- RTX 2060 的所有耗时都是估计，.*这种注意力中 H200 达到"),
        (OLD, r"^- Wan2\.1 的 VAE（0\.24 GiB）最后运行：.* 5\.2 GiB，因此会分块解码；未实测。$"),
        (SMALL, r"^没有放得下的。\n至少需要显存 3\.5 GiB。\n至少需要内存 [\d.]+ GiB，用于 int4-g128 的 umt5-xxl。\n这个尺寸放得下 21 帧。$"),
        (("--vram", "0", "--ram", "16"), r"^lightquant fit：显存写作 0，应为大于 0 的数。$"),
        ((*ASKED[1:5], "--frames", "80"), r"^lightquant fit：要求的是 80 帧，而 Wan 生成 4 n \+ 1 帧：请用 77 或 81。$"),
    ],
)
def test_it_is_chinese_to_the_last_sentence(options, said, capsys):
    main(["--lang", "zh", "fit", *options])
    told = "".join(capsys.readouterr())
    assert re.search(said, told, re.MULTILINE), told
    assert not [line for line in told.splitlines() if re.search(r"[a-z]{3,} [a-z]{2,} [a-z]{3,}", line)]


def test_the_json_is_the_same_in_every_language(capsys):
    main([*ASKED, "--json"])
    english = capsys.readouterr().out
    main(["--lang", "zh", *ASKED, "--json"])
    assert capsys.readouterr().out == english
