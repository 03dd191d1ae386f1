"""What the routes answer a Chinese page, whose requests name its language."""

import re
import threading

import pytest
import small_models
from in_chinese import CHINESE
from lightquant.routes import answers
from page_jobs import DIT

ZH = {"lang": "zh-CN"}


@pytest.mark.parametrize(
    ("method", "path", "request_", "expected"),
    [
        ("GET", "fit", {"params": {**ZH, "vram": "much"}}, (400, "vram 是 'much'，应为数字")),
        ("GET", "fit", {"params": {**ZH, "vram": "-1"}}, (400, "显存写作 -1，应为大于 0 的数。")),
        ("GET", "fit", {"params": {**ZH, "vram": "24", "model": "sora"}}, (400, "没有模型 sora。可用的：wan2.1-t2v-14b, .*。")),
        ("GET", "jobs/none", {"params": ZH}, (404, "没有这个任务；ComfyUI 上次启动之前的任务不再保留")),
        ("POST", "jobs", {"params": ZH, "json": []}, (400, r"请求体不是 JSON 对象，例如 \{\}")),
        ("POST", "jobs", {"params": ZH, "data": "x"}, (415, "这个路由只接受 application/json，不接受 text/plain")),
        ("POST", "jobs", {"params": ZH, "json": {**DIT, "more": 1}}, (400, "这个路由只接受 kind, .*, loras，不接受 more")),
        ("POST", "jobs", {"params": ZH, "json": {**DIT, "checkpoint": 3}}, (400, "checkpoint 是 3，应为文本")),
        ("POST", "jobs", {"params": ZH, "json": {**DIT, "format": "nvfp4"}}, (400, "format 是 'nvfp4'，应为其中之一：fp8-channel，.*")),
        ("POST", "jobs", {"params": ZH, "json": {**DIT, "keep": "head"}}, (400, "keep 是 'head'，应为文本的列表")),
        ("POST", "jobs", {"params": ZH, "json": {**DIT, "loras": [{"name": "../x", "strength": 1}]}}, (400, r".* loras .*\.\./x.*")),
        ("POST", "jobs", {"params": ZH, "json": {**DIT, "filename": "wan"}}, (400, r".*/wan\.safetensors 已存在，不会替换任何内容。请换一个名字。")),
        (
            "POST", "jobs", {"params": ZH, "json": {**DIT, "checkpoint": "../wan.safetensors"}},
            (400, r"LightQuant 在 ComfyUI 的 diffusion_models 中没有找到文件 \.\./wan\.safetensors。请选别的，.*"),
        ),
        (
            "POST", "jobs", {"params": ZH, "json": {**DIT, "component": "clip", "checkpoint": "t5.safetensors"}},
            (400, r"t5\.safetensors 是 umt5 文本编码器，而这里需要 CLIP 视觉编码器。请按它的类型选用，或选别的文件。"),
        ),
    ],
)  # fmt: skip
def test_errors(place, floats, queue, ask, method, path, request_, expected):
    small_models.save(floats["t5"], place / "clip_vision" / "t5.safetensors")
    status, answer = ask(method, path, **request_)
    assert status == expected[0], answer
    assert re.fullmatch(expected[1], answer["error"]), answer


def test_what_fits_a_card_is_told_in_chinese_and_its_names_stay(ask):
    status, answer = ask("GET", "fit", params={**ZH, "vram": "8", "ram": "16"})
    assert status == 200
    assert answer["text"].startswith("Wan2.1 T2V 14B，832x480，81 帧：32760 个 token")
    assert all(CHINESE.search(note) for note in answer["notes"])
    best = answer["options"][0]
    assert (best["scheme"], best["way"], best["title"], best["speed"]) == ("int8-vllm", "dynamic", "ComfyUI 的动态显存", "由实测的各部分估计")


@pytest.mark.parametrize(
    ("method", "path", "request_"),
    [
        ("GET", "fit", {"params": {**ZH, "vram": "8"}}),
        ("GET", "fit", {"params": {**ZH, "vram": "much"}}),
        ("GET", "fit", {"params": {**ZH, "vram": "-1"}}),
        ("POST", "jobs", {"params": ZH, "json": []}),
    ],
)
def test_comfyuis_event_loop_does_not_wait_for_a_translation(ask, monkeypatch, method, path, request_):
    translate, loops = answers.translate, []
    monkeypatch.setattr(answers, "translate", lambda *text, **language: loops.append(threading.current_thread()) or translate(*text, **language))
    ask(method, path, **request_)
    assert loops
    assert threading.current_thread() not in loops


@pytest.mark.parametrize(("path", "name"), [("choice", "component"), ("fit", "vram")])
def test_what_was_sent_is_not_said_again_at_length(ask, path, name):
    sent = "it needs sm_89 and newer, this GPU is sm_86 (older GPUs have no fp8 products); " * 60
    status, answer = ask("GET", path, params={**ZH, name: sent})
    assert status == 400
    assert len(answer["error"]) < 300
    assert "..." in answer["error"]
    assert CHINESE.search(answer["error"])


def test_names_that_a_route_does_not_take_are_not_said_again_at_length(ask):
    for path in ("inspect", "kernels"):
        status, answer = ask("POST", path, params=ZH, json={f"name {number}": 1 for number in range(500)})
        assert (status, len(answer["error"]) < 300) == (400, True)
