"""What /lightquant/jobs does not do, whoever asks: nothing outside ComfyUI's folders, nothing overwritten, nothing on a GET."""

import json

import pytest
import small_loras
import small_models
import torch
from lightquant.convert import run
from page_jobs import DIT, ended, files_in

NAMES = [
    "", " ", ".", "..", "../out", "a/../../out", "/etc/out", "//server/share/out", "\\\\server\\share\\out", "C:\\out", "C:out", "..\\out", "a//out",
    "a/.", "out\0", "a\nb", "out|x", "nul", "NUL.safetensors", "sub/com1", "...", "a/ /out",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_names_that_lead_out_or_are_none_are_refused(place, queue, ask, name):
    before = files_in(place)
    status, answer = ask("POST", "jobs", json={**DIT, "filename": name})
    assert status == 400
    assert "is no name for a file in ComfyUI's diffusion_models" in answer["error"]
    assert files_in(place) == before
    assert ask("GET", "jobs")[1] == {"jobs": []}


@pytest.mark.parametrize("name", ["linked/out", "linked/../linked/out", "link_to_file"])
def test_a_link_out_of_comfyuis_folders_is_not_written_through(place, queue, ask, name):
    (place / "elsewhere").mkdir()
    (place / "diffusion_models" / "linked").symlink_to(place / "elsewhere")
    (place / "diffusion_models" / "link_to_file.safetensors").symlink_to(place / "elsewhere" / "new.safetensors")
    status, answer = ask("POST", "jobs", json={**DIT, "filename": name})
    assert status == 400
    assert "leads out of" in answer["error"] or "is no name" in answer["error"]
    assert not [*(place / "elsewhere").iterdir()]


def test_a_link_into_another_of_comfyuis_folders_is_a_folder_like_any(place, queue, ask, add_folder):
    (place / "more").mkdir()
    add_folder("diffusion_models", place / "more")
    (place / "diffusion_models" / "linked").symlink_to(place / "more")
    assert ended(ask, ask("POST", "jobs", json={**DIT, "filename": "linked/out"})[1])["state"] == "done"
    assert (place / "more" / "out.safetensors").is_file()


SOURCES = ["../text_encoders/t5.pth", "/etc/passwd", "\\\\server\\share\\wan.safetensors", "wan.safetensors\0", "absent.safetensors", "find it", ""]


@pytest.mark.parametrize("name", SOURCES)
def test_only_what_a_dropdown_has_is_read(place, queue, ask, name):
    for path, body in (("jobs", {**DIT, "checkpoint": name}), ("inspect", {"component": "dit", "checkpoint": name})):
        status, answer = ask("POST", path, json=body)
        assert status == 400
        assert answer["error"].startswith("LightQuant found no such file as")


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "absent.safetensors", "sub/../inside.safetensors", ""])
def test_only_a_lora_that_comfyui_lists_is_read(place, queue, ask, add_folder, name):
    (place / "loras" / "sub").mkdir(parents=True)
    add_folder("loras", place / "loras")
    for folder, file in ((place, "outside.safetensors"), (place / "loras", "inside.safetensors")):
        small_loras.save(folder, file, small_loras.factors(small_loras.QUANTIZED))
    status, answer = ask("POST", "jobs", json={**DIT, "loras": [{"name": name, "strength": 1}]})
    assert (status, "found no such LoRA" in answer["error"]) == (400, True)


def test_a_lora_that_does_not_fit_is_refused_before_anything_is_queued(place, queue, ask, add_folder):
    (place / "loras").mkdir()
    add_folder("loras", place / "loras")
    small_loras.save(place / "loras", "fits.safetensors", small_loras.factors(small_loras.QUANTIZED))
    small_loras.save(place / "loras", "deep.safetensors", small_loras.factors({**small_loras.QUANTIZED, "blocks.9.ffn.0": (512, 256)}))
    small_loras.save(place / "loras", "other.safetensors", small_loras.factors({"blocks.9.ffn.0": (512, 256)}))
    cases = {
        "fit no tensor of wan.safetensors": ["deep.safetensors"],
        "is for another model": ["other.safetensors"],
        "is asked for twice": ["fits.safetensors", "fits.safetensors"],
    }
    for said, names in cases.items():
        status, answer = ask("POST", "jobs", json={**DIT, "loras": [{"name": name, "strength": 1} for name in names]})
        assert (status, said in answer["error"]) == (400, True), answer
    assert not queue.all()


def test_what_can_be_known_beforehand_is_said_before_anything_is_queued(place, queue, ask, monkeypatch):
    small_models.save({"lora_a": torch.ones(2, 2)}, place / "diffusion_models" / "other.safetensors")
    folder = place / "diffusion_models"
    (folder / "taken.safetensors").write_bytes(b"mine")
    (folder / "dangling.safetensors").symlink_to(folder / "nowhere.safetensors")
    (folder / "file").write_bytes(b"")
    cases = {
        "is there already, and nothing is replaced": {"filename": "taken"},
        "dangling.safetensors is there already": {"filename": "dangling"},
        "where a Wan DiT, its T5 or its CLIP is needed": {"checkpoint": "other.safetensors"},
        "is quantized already": {"checkpoint": "done.safetensors"},
        "has nothing like int4-g128": {"format": "int4-g128", "for": "comfyui"},
    }
    assert ended(ask, ask("POST", "jobs", json={**DIT, "filename": "done"})[1])["state"] == "done"
    before = files_in(place)
    for said, more in cases.items():
        status, answer = ask("POST", "jobs", json={**DIT, **more})
        assert (status, said in answer["error"]) == (400, True), answer
    small_models.save(small_models.t5(), place / "diffusion_models" / "t5_here.safetensors")
    status, answer = ask("POST", "jobs", json={**DIT, "checkpoint": "t5_here.safetensors"})
    assert answer == {"error": "t5_here.safetensors is a umt5 text encoder, where a Wan DiT is needed. Pick it as that, or pick another file."}
    (place / "diffusion_models" / "t5_here.safetensors").unlink()
    monkeypatch.setattr(run, "free_space", lambda folder: 1000)
    status, answer = ask("POST", "jobs", json=DIT)
    assert "has 1000 bytes free" in answer["error"]
    assert files_in(place) == before
    assert (folder / "taken.safetensors").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "delete"}, "kind is 'delete', where one of these is needed: convert"), ({"component": "vae"}, "component is 'vae'"),
        ({"format": "fp4"}, "format is 'fp4'"), ({"layout": "flat"}, "layout is 'flat'"), ({"for": "me"}, "for is 'me'"),
        ({"scale": 1}, "scale is 1, where a text is needed"), ({"filename": None}, "filename is absent"), ({"filename": ["a"]}, "filename is ['a']"),
        ({"force": True}, "and not force"), ({"checkpoint": {}}, "checkpoint is {}"), ({"dtype": "fp8"}, "dtype is 'fp8'"),
        ({"names": "mine"}, "names is 'mine'"), ({"keep": "head"}, "keep is 'head', where a list of texts is needed"),
        ({"loras": ["a"]}, "where a list of objects is needed"), ({"loras": [{"name": "a", "strength": None}]}, "strength is absent"),
        ({"loras": [{"name": "a", "strength": "1"}]}, "strength is '1', where a number is needed"),
        ({"loras": [{"name": "a", "strength": 1, "alpha": 2}]}, "and not alpha"),
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_named(place, queue, ask, change, said):
    status, answer = ask("POST", "jobs", json={**DIT, **change})
    assert status == 400
    assert said in answer["error"]


@pytest.mark.parametrize("path", ["jobs", "jobs/x/cancel", "inspect"])
def test_what_a_foreign_page_can_post_without_asking_is_refused(place, queue, ask, path):
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/octet-stream"):
        status, answer = ask("POST", path, data=json.dumps(DIT).encode(), headers={"Content-Type": kind})
        assert (status, "takes application/json" in answer["error"]) == (415, True)
    assert ask("POST", path, data=b"[1]", headers={"Content-Type": "application/json"})[0] == 400
    assert not queue.all()


def test_nothing_is_begun_by_a_get(place, queue, ask, host):
    for path in ("jobs", "choice", "memory", "kernels"):
        ask("GET", path, params={**DIT, "missing_kernel": "stop"})
    assert not queue.all()
    methods = {(route.method, route.path) for route in host.routes}
    assert ("GET", "/lightquant/jobs/{id}/cancel") not in methods
    assert ("GET", "/lightquant/inspect") not in methods


def test_with_several_users_nothing_is_converted_from_the_browser(place, queue, ask, monkeypatch):
    from comfy.cli_args import args

    monkeypatch.setattr(args, "multi_user", True)
    for path, body in (("jobs", DIT), ("jobs/x/cancel", {})):
        status, answer = ask("POST", path, json=body)
        assert status == 403
        assert "--multi-user" in answer["error"]
    assert ask("GET", "jobs") == (200, {"jobs": []})


def test_an_unknown_job_is_named(queue, ask):
    assert ask("GET", "jobs/abc")[0] == 404
    status, answer = ask("POST", "jobs/abc/cancel", json={})
    assert (status, answer["error"].startswith("there is no such job")) == (404, True)


def test_a_weight_that_no_format_takes(place, queue, ask):
    tensors = small_models.dit(width=128, ffn=200)
    narrow = {key: tensor[:, :100].contiguous() if tensor.ndim == 2 and key.startswith("blocks") else tensor for key, tensor in tensors.items()}
    small_models.save(narrow, place / "diffusion_models" / "narrow.safetensors")
    status, answer = ask("POST", "jobs", json={**DIT, "checkpoint": "narrow.safetensors", "format": "int4-g128"})
    assert status == 400
    assert answer["error"].startswith("No weight of narrow.safetensors can be stored as int4-g128 (blocks.0.")
