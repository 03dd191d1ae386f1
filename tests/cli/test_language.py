"""The command line in Chinese: by its option, or by the shell's locale; JSON is for programs and stays English."""

import json
import re

import pytest
import small_models
from in_chinese import CHINESE
from lightquant.cli import main
from lightquant.cli.output import language_of_shell


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LC_MESSAGES": "zh_TW.UTF-8", "LANG": "en_US.UTF-8"}, "zh"),
        ({"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN.GB18030"}, "zh"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_locale_says_which(environment, language):
    assert language_of_shell(environment) == language


def test_the_option_goes_before_the_locale(capsys, monkeypatch):
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["schemes", "--device", "cpu"]) == 0
    assert re.search(r"^fp8-vllm +fp8-channel +不能 +它需要 NVIDIA GPU，而这是 CPU$", capsys.readouterr().out, re.MULTILINE)
    assert main(["--lang", "en", "schemes", "--device", "cpu"]) == 0
    assert not CHINESE.search(capsys.readouterr().out)
    monkeypatch.setenv("LC_ALL", "C")
    assert main(["--lang", "zh", "doctor", "--device", "cpu"]) == 0
    assert capsys.readouterr().out.startswith("LightQuant 内核报告\n")
    with pytest.raises(SystemExit):
        main(["--lang", "fr", "schemes"])


def test_columns_begin_under_each_other(capsys):
    """A Chinese character is two columns wide."""
    assert main(["--lang", "zh", "doctor", "--device", "cpu"]) == 0
    lines = capsys.readouterr().out.splitlines()
    width = {
        line: sum(1 + bool(CHINESE.match(each)) for each in re.match(r"  \S+ +", line)[0])
        for line in lines
        if re.match(r"  (原因|硬件|位于|torch) ", line)
    }
    assert len(width) > 10
    assert set(width.values()) == {16}


def test_errors(capsys, tmp_path):
    assert main(["--lang", "zh", "inspect", str(tmp_path / "model (1).safetensors")]) == 1
    path = re.escape(str(tmp_path / "model (1).safetensors"))
    assert re.fullmatch(rf"LightQuant 无法加载 {path}：没有这个文件。请从列表中选择，或刷新列表（R）。\n", capsys.readouterr().err)
    assert main(["--lang", "zh", "schemes", "--device", "nonsense"]) == 1
    assert re.match(r"lightquant：本机没有设备 nonsense（.*）。请试 --device cpu。\n", capsys.readouterr().err)


def test_find_and_convert_and_report(floats, tmp_path, capsys):
    source, target = tmp_path / "float.safetensors", tmp_path / "int8.safetensors"
    small_models.save(floats["dit"], source)
    assert main(["--lang", "zh", "convert", str(source), str(target), "--format", "int8-channel", "--report", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    for line in (
        r"int8\.safetensors：dit，[\d.]+ MiB（\d+ 字节），1 个文件，用于 lightx2v",
        r"  \d+ 个张量中 20 个被量化，缩放按 absmax",
        r"权重的误差：int8",
    ):
        assert re.search(line, out), line
    assert '<html lang="zh">' in (tmp_path / "int8_report.html").read_text(encoding="utf-8")
    assert not CHINESE.search((tmp_path / "int8_report.json").read_text(encoding="utf-8"))
    assert main(["--lang", "zh", "find", "--folder", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"^Wan DiT，位于 {tmp_path}：$", out, re.MULTILINE)
    assert re.search(rf"^  {source}  未量化$", out, re.MULTILINE)
    assert re.search(r"^  find it：LightQuant 在 .* 中查找存储为 .* 的 umt5 文本编码器，没有找到；", out, re.MULTILINE)


def test_json_stays_english(floats, tmp_path, capsys):
    small_models.save(floats["dit"], tmp_path / "float.safetensors")
    for command in (["schemes", "--device", "cpu"], ["find", "--folder", str(tmp_path)], ["inspect", str(tmp_path / "float.safetensors")]):
        assert main(["--lang", "zh", *command, "--json"]) == 0
        out = capsys.readouterr().out
        json.loads(out)
        assert not CHINESE.search(out)
