"""/lightquant/choice says what a loader then does, and neither loads nor checks anything to know it."""

import json
import os

import comfy.model_management
import folder_paths
import pytest
import small_models
import torch
from lightquant.bridge.record import record_of
from lightquant.errors import LightQuantError
from lightquant.kernels import checks, report
from lightquant.kernels.checks import in_child, numeric
from lightquant.nodes.loaders import LoadCLIP, LoadDiT, LoadT5
from lightquant.nodes.pair import LoadDiTPair
from lightquant.schemes import SCHEMES

CPU = torch.device("cpu")
LOADERS = {"dit": LoadDiT, "t5": LoadT5, "clip": LoadCLIP}
FOLDERS = {"dit": "diffusion_models", "t5": "text_encoders", "clip": "clip_vision"}


def without(tensors: dict, part: str) -> dict:
    return {key: tensor for key, tensor in tensors.items() if part not in key}


@pytest.fixture(scope="module")
def files(floats, spiece, tmp_path_factory):
    """Name of a file -> its component: every kind of file that a loader takes or refuses, in a folder of its own."""
    root = tmp_path_factory.mktemp("choice")
    dit, t5, clip = floats["dit"], floats["t5"], floats["clip"]
    int8 = small_models.quantized(dit, "dit", "int8-channel")
    tagged = small_models.core_tagged(dit, "dit", "int8-channel")
    tag = {key: torch.tensor(list(json.dumps({"format": "nvfp4"}).encode()), dtype=torch.uint8) for key in tagged if key.endswith(".comfy_quant")}
    dits = {
        "int8": int8,
        "int4": small_models.quantized(dit, "dit", "int4-g128", torch.bfloat16),
        "mixed": small_models.mixed(dit, "dit", small_models.of_all_formats),
        "float": dit,
        "comfyui": small_models.comfyui_mode(dit, "dit"),
        "tagged": tagged,
        "other_tags": {**tagged, **tag},
        "prefixed": {f"model.diffusion_model.{key}": tensor for key, tensor in int8.items()},
        "no_block": without(int8, "blocks.0."),
        "no_scale": without(int8, "blocks.1.ffn.2.weight_scale"),
        "no_scales": without(int8, "_scale"),
        "wrong_scale": {**int8, "blocks.1.ffn.2.weight_scale": torch.ones(3, 1)},
        "nvfp4": {**int8, "blocks.0.ffn.0.weight_global_scale": torch.ones(1)},
        "lora": {"lora_unet_blocks_0_ffn_0.lora_up.weight": torch.ones(4, 4)},
        "a_t5": small_models.quantized(t5, "t5", "int8-channel"),
    }  # fmt: skip
    with torch.inference_mode():
        for name, tensors in dits.items():
            small_models.save(tensors, root / "diffusion_models" / f"{name}.safetensors")
        small_models.save_split(int8, root / "diffusion_models" / "split")
        small_models.save(small_models.quantized(t5, "t5", "fp8-channel"), root / "text_encoders" / "t5_fp8.pth")
        small_models.save({key: tensor.bfloat16() for key, tensor in t5.items()}, root / "text_encoders" / "t5_float.pth")
        small_models.save(small_models.quantized(clip, "clip", "int8-channel"), root / "clip_vision" / "clip_int8.pth")
        small_models.save(clip, root / "clip_vision" / "clip_float.safetensors")
    (root / "diffusion_models" / "cut.safetensors").write_bytes((root / "diffusion_models" / "int8.safetensors").read_bytes()[:5000])
    (root / "text_encoders" / "spiece.model").write_bytes(spiece)
    return root


@pytest.fixture
def only_these(files, monkeypatch):
    """ComfyUI has these files and no others."""
    ends = {".safetensors", ".pth"}
    for folder in FOLDERS.values():
        monkeypatch.setitem(folder_paths.folder_names_and_paths, folder, ([str(files / folder)], ends))
    monkeypatch.setattr(folder_paths, "models_dir", str(files / "models"))
    folder_paths.filename_list_cache.clear()


def outcome(load):
    """What loading gives, or its refusal."""
    try:
        return load(), None
    except LightQuantError as problem:
        return None, str(problem)


def loaded(component: str, values: dict) -> tuple[object, str | None]:
    """The record of what the loader loads, or what it refuses."""
    more = {"tokenizer": "find it"} if component == "t5" else {}
    model, refused = outcome(lambda: LOADERS[component].execute(**{**more, **values}, dtype="auto").args[0])
    return model and record_of(model if component == "dit" else model.patcher), refused


def compare(choice: dict, record, refused: str | None) -> None:
    assert choice["problem"] == refused
    if record is None:
        assert choice["chosen"] is None
        return
    assert choice["chosen"] == {"scheme": record.scheme, "kernel": record.kernel, "why": record.why}
    assert choice["weights_vram"] == record.weight_bytes
    assert os.path.basename(record.file) == os.path.basename(choice["file"])
    assert choice["format"] == (None if record.how else record.format)


DITS = [
    "int8", "int4", "mixed", "float", "comfyui", "tagged", "other_tags", "prefixed", "no_block", "no_scale", "no_scales", "wrong_scale", "nvfp4",
    "lora", "a_t5", "cut",
]  # fmt: skip
CASES = [
    *(("dit", f"{name}.safetensors") for name in DITS), ("dit", "split"), ("dit", "find it"), ("dit", "absent.safetensors"), ("t5", "t5_fp8.pth"),
    ("t5", "t5_float.pth"), ("t5", "find it"), ("clip", "clip_int8.pth"), ("clip", "clip_float.safetensors"), ("clip", "find it"),
]  # fmt: skip


@pytest.mark.parametrize(("component", "checkpoint"), CASES)
def test_it_says_what_the_loader_does(only_these, ask, component, checkpoint):
    report(CPU)  # every check is made
    for scheme in ("auto", "fp8-torch", "int8-sgl", "int8-torch", "fp8-b128-deepgemm"):
        for missing in ("substitute", "stop"):
            values = {"scheme": scheme, "checkpoint": checkpoint, "missing_kernel": missing}
            status, choice = ask("GET", "choice", params={"component": component, **values})
            assert status == 200
            compare(choice, *loaded(component, values))
            for row in choice["schemes"]:
                assert row["checked"]
                assert row["fits"] or choice["problem"] or row["format"] not in choice["format"]
            comfy.model_management.unload_all_models()


@pytest.mark.parametrize("missing", ["substitute", "stop"])
def test_the_state_of_each_scheme_is_what_picking_it_does(only_these, ask, missing):
    report(CPU)
    _, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": "float.safetensors", "missing_kernel": missing})
    assert [row["name"] for row in choice["schemes"]] == list(SCHEMES)
    assert {row["state"] for row in choice["schemes"]} == {"runs", "replaced" if missing == "substitute" else "cannot"}
    for row in choice["schemes"]:
        record, refused = loaded("dit", {"scheme": row["name"], "checkpoint": "float.safetensors", "missing_kernel": missing})
        assert row["fits"]
        assert row["kernel"] == (record and record.kernel)
        assert row["state"] == ("cannot" if refused else "runs" if record.kernel == row["name"] else "replaced")
        assert row["why"] in (refused or record.why)


def test_nothing_is_checked_or_read_for_it(only_these, ask, monkeypatch):
    def never(*_, **__):
        raise AssertionError("something was run")

    checks.forget()
    with monkeypatch.context() as patch:
        patch.setattr(numeric, "error_of", never)
        patch.setattr(in_child.subprocess, "Popen", never)
        patch.setattr("lightquant.bridge.folders.open_file", never)
        status, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": "int8.safetensors"})
    assert (status, choice["problem"], choice["chosen"]["kernel"]) == (200, None, "int8-torch")
    assert "not checked yet" in choice["chosen"]["why"]
    states = {row["name"]: (row["state"], row["checked"], "not checked yet" in row["why"]) for row in choice["schemes"]}
    assert states["int8-torch"] == ("runs", False, True)
    assert states["int8-vllm"] == ("replaced", False, True)
    report(CPU)
    _, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": "int8.safetensors"})
    assert "not checked" not in json.dumps(choice)


def test_what_it_says_of_a_file(only_these, ask, files):
    _, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": "comfyui.safetensors"})
    assert choice["bytes"] == (files / "diffusion_models" / "comfyui.safetensors").stat().st_size
    assert choice["model"] == "Wan2.1 T2V"
    assert "one scale a tensor" in choice["format_note"]
    assert {row["name"] for row in choice["schemes"] if row["fits"]} == {name for name, scheme in SCHEMES.items() if scheme.format == "fp8-channel"}
    _, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": "float.safetensors"})
    assert (choice["format"], choice["weights_vram"]) == (None, None)
    assert choice["format_note"].startswith("not quantized")
    _, choice = ask("GET", "choice", params={"component": "t5", "checkpoint": "find it", "scheme": "fp8-sgl"})
    assert (choice["file"], choice["format"]) == ("t5_fp8.pth", "fp8-channel")


def test_a_file_that_changes_is_looked_at_again(only_these, ask, files, floats):
    path = files / "diffusion_models" / "changing.safetensors"
    try:
        for name in ("int8-channel", "fp8-channel"):
            small_models.save(small_models.quantized(floats["dit"], "dit", name), path)
            os.utime(path, ns=(1, len(name)))
            assert ask("GET", "choice", params={"component": "dit", "checkpoint": path.name})[1]["format"] == name
    finally:
        path.unlink()


T5 = {"scheme": "auto", "checkpoint": "t5_fp8.pth", "missing_kernel": "substitute"}


def test_without_a_tokenizer_it_is_the_problem_that_loading_has(only_these, ask, files, spiece, floats):
    """Each place that the loader looks for one in: as it comes and goes the answer follows, for a file that a scheme quantizes as well."""
    folder = files / "text_encoders"
    inside = {**small_models.quantized(floats["t5"], "t5", "fp8-channel"), "spiece_model": torch.frombuffer(bytearray(spiece), dtype=torch.uint8)}

    def same(values: dict, says: str | None) -> None:
        folder_paths.filename_list_cache.clear()
        _, choice = ask("GET", "choice", params={"component": "t5", **values})
        compare(choice, *loaded("t5", values))
        assert (choice["problem"] is None) if says is None else (says in choice["problem"])
        comfy.model_management.unload_all_models()

    report(CPU)
    (folder / "spiece.model").unlink()
    try:
        for values in (T5, {**T5, "checkpoint": "t5_float.pth", "scheme": "fp8-torch"}):
            same(values, "LightQuant found no tokenizer for")
        (folder / "google" / "umt5-xxl").mkdir(parents=True)
        beside = folder / "google" / "umt5-xxl" / "spiece.model"
        beside.write_bytes(b"no tokenizer")
        same(T5, "it is no sentencepiece model")
        beside.write_bytes(spiece)
        same(T5, None)
        same({**T5, "tokenizer": os.path.join("google", "umt5-xxl", "spiece.model")}, None)
        beside.unlink()
        same(T5, "LightQuant found no tokenizer for")
        small_models.save(inside, folder / "carries_one.safetensors")
        for values in (T5, {**T5, "tokenizer": "carries_one.safetensors"}, {**T5, "checkpoint": "carries_one.safetensors"}):
            same(values, None)
    finally:
        (folder / "carries_one.safetensors").unlink(missing_ok=True)
        (folder / "spiece.model").write_bytes(spiece)


def test_a_tokenizer_that_no_dropdown_has_is_not_looked_at(only_these, ask, files):
    for name in ("../secret.model", "/etc/passwd", "t5_fp8.pth"):
        _, choice = ask("GET", "choice", params={"component": "t5", **T5, "tokenizer": name})
        assert (choice["file"], choice["problem"].startswith("LightQuant found no such file as")) == (None, True)


def test_a_pair_is_one_request(only_these, ask, files, floats):
    report(CPU)
    names = [f"{expert}_noise_int8.safetensors" for expert in ("high", "low")]
    paths = [files / "diffusion_models" / name for name in names]
    try:
        for seed, path in enumerate(paths):
            small_models.save(small_models.quantized(small_models.dit(seed=seed), "dit", "int8-channel"), path)
        find = "find it"
        for high, low in ((names[0], names[1]), (names[0], find), (find, names[1]), (find, find), (names[1], names[0])):
            for scheme in ("auto", "int8-vllm", "fp8-torch"):
                values = {"scheme": scheme, "missing_kernel": "substitute"}
                _, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": high, "low_noise": low, **values})
                picked = {"high_noise": high, "low_noise": low, "dtype": "auto", **values}
                models, refused = outcome(lambda picked=picked: LoadDiTPair.execute(**picked).args)
                if refused:
                    assert refused in (choice["problem"], choice["low_noise"]["problem"])
                else:
                    compare(choice, record_of(models[0]), None)
                    compare(choice["low_noise"], record_of(models[1]), None)
    finally:
        for path in paths:
            path.unlink()


OUTSIDE = [
    "../secret.safetensors",
    "/etc/passwd",
    "\\\\server\\share\\x.safetensors",
    "C:\\x.safetensors",
    "int8.safetensors\0",
    "split/../int8.safetensors",
]


@pytest.mark.parametrize("name", OUTSIDE)
def test_names_that_no_dropdown_has_lead_nowhere(only_these, ask, files, name):
    small = files / "secret.safetensors"
    small.write_bytes((files / "diffusion_models" / "int8.safetensors").read_bytes())
    status, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": name})
    assert (status, choice["file"], choice["bytes"], choice["chosen"]) == (200, None, None, None)
    assert choice["problem"].startswith("LightQuant found no such file as")
    assert len(choice["schemes"]) == len(SCHEMES)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({}, "component is absent"),
        ({"component": "vae"}, "component is 'vae', where one of these is needed: dit, t5, clip"),
        ({"component": "dit", "missing_kernel": "maybe"}, "missing_kernel is 'maybe'"),
        ({"component": "dit", "dtype": "int3"}, "dtype is 'int3'"),
    ],
)
def test_a_query_that_makes_no_sense_is_named(ask, query, said):
    status, answer = ask("GET", "choice", params=query)
    assert status == 400
    assert said in answer["error"]


def test_a_scheme_that_there_is_not_is_a_problem(only_these, ask):
    _, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": "int8.safetensors", "scheme": "zzz"})
    assert choice["problem"].startswith("There is no scheme zzz.")
