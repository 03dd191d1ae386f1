"""/lightquant/jobs: conversions that the browser starts, from the first byte to what a killed ComfyUI leaves."""

import itertools
import json
import os
import threading
import time

import pytest
import small_loras
import small_models
import torch
from lightquant.bridge import converting, jobs, unfinished
from lightquant.bridge.jobs import Jobs
from lightquant.cli import main
from lightquant.convert import run
from lightquant.errors import ConvertError
from page_jobs import DIT, WAIT_S, ended, files_in
from safetensors import safe_open
from safetensors.torch import load_file


@pytest.mark.parametrize(
    ("body", "written", "command"),
    [
        (DIT, "diffusion_models/out.safetensors", ["--format", "int8-channel"]),
        (
            {**DIT, "format": "fp8-b128", "layout": "split", "filename": "deep/er/out", "scale": "mse"},
            "diffusion_models/deep/er/out",
            ["--format", "fp8-b128", "--layout", "split", "--scale", "mse"],
        ),
        ({**DIT, "for": "comfyui", "filename": "x.sft"}, "diffusion_models/x.sft", ["--format", "int8-channel", "--for", "comfyui"]),
        (
            {**DIT, "component": "t5", "checkpoint": "t5.pth", "format": "fp8-channel", "filename": "t5_fp8.pth"},
            "text_encoders/t5_fp8.pth",
            ["--format", "fp8-channel"],
        ),
        ({**DIT, "component": "clip", "checkpoint": "clip.safetensors"}, "clip_vision/out.safetensors", ["--format", "int8-channel"]),
    ],
)  # fmt: skip
def test_a_job_writes_what_the_command_writes(place, queue, ask, host, body, written, command):
    status, job = ask("POST", "jobs", json=body)
    assert (status, job["kind"], job["source"]) == (200, "convert", body["checkpoint"])
    job = ended(ask, job)
    path = place / written
    assert (job["state"], job["error"], job["done"], job["total"]) == ("done", None, job["total"], job["total"])
    assert job["target"] == os.path.relpath(path, place / written.split("/")[0])
    assert job["started"] > 1e9
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    tensors = [file for file in files if file.suffix != ".json"]
    assert job["result"] == {
        "file": job["target"], "bytes": sum(file.stat().st_size for file in tensors), "format": body["format"], "reader": body.get("for", "lightx2v"),
    }  # fmt: skip
    again = place / ("again" if path.is_dir() else f"again{path.suffix}")
    source = next(place.glob(f"*/{body['checkpoint']}"))
    assert main(["convert", str(source), str(again), *command]) == 0
    for file in files:
        twin = again / file.name if again.is_dir() else again
        assert file.read_bytes() == twin.read_bytes() or file.suffix == ".pth"
    if path.suffix == ".pth":
        theirs = torch.load(again)
        assert all(torch.equal(tensor.view(torch.uint8), theirs[key].view(torch.uint8)) for key, tensor in torch.load(path).items())
    assert {event for event, _ in host.sent} == {"lightquant.job"}
    assert [data["state"] for _, data in host.sent if data["state"] != "running"] == ["waiting", "done"]
    assert host.sent[-1][1] == job
    assert ask("GET", "jobs") == (200, {"jobs": [job]})


def test_its_further_options_are_the_commands(place, queue, ask, add_folder):
    (place / "loras" / "sub").mkdir(parents=True)
    add_folder("loras", place / "loras")
    small_loras.save(place / "loras" / "sub", "wan.safetensors", small_loras.factors(small_loras.QUANTIZED))
    lora = os.path.join("sub", "wan.safetensors")
    more = {"dtype": "fp32", "names": "diffusers", "keep": ["blocks.0.ffn.*"], "loras": [{"name": lora, "strength": 0.5}]}
    assert ended(ask, ask("POST", "jobs", json={**DIT, **more})[1])["state"] == "done"
    command = ["--dtype", "fp32", "--names", "diffusers", "--keep", "blocks.0.ffn.*", "--lora", f"{place / 'loras' / lora}:0.5"]
    source, again = place / "diffusion_models" / "wan.safetensors", place / "again.safetensors"
    assert main(["convert", str(source), str(again), "--format", "int8-channel", *command]) == 0
    written, expected = (load_file(path) for path in (place / "diffusion_models" / "out.safetensors", again))
    assert written.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[key]) for key, tensor in written.items())
    assert written["blocks.0.ffn.net.0.proj.weight"].dtype == torch.float32
    with safe_open(place / "diffusion_models" / "out.safetensors", "pt") as file:
        assert json.loads(file.metadata()["lightquant"])["loras"] == [f"{lora}:0.5"]


def test_a_text_encoder_for_comfyui_gets_the_tokenizer_that_lies_among_them(place, queue, ask, spiece):
    asked = {**DIT, "component": "t5", "checkpoint": "t5.pth", "for": "comfyui"}
    status, answer = ask("POST", "jobs", json=asked)
    assert status == 400
    assert "must carry the tokenizer" in answer["error"]
    (place / "text_encoders" / "elsewhere").mkdir()
    (place / "text_encoders" / "elsewhere" / "umt5.model").write_bytes(spiece)
    assert ended(ask, ask("POST", "jobs", json=asked)[1])["state"] == "done"
    written = load_file(place / "text_encoders" / "out.safetensors")
    assert written["spiece_model"].numpy().tobytes() == spiece
    assert "shared.weight" in written


def test_the_new_file_is_in_the_dropdown_at_once(place, queue, ask):
    from lightquant.bridge.folders import checkpoint_names

    assert checkpoint_names("dit") == ["wan.safetensors"]
    ended(ask, ask("POST", "jobs", json={**DIT, "filename": "sub/out"})[1])
    assert checkpoint_names("dit") == [os.path.join("sub", "out.safetensors"), "wan.safetensors"]
    _, choice = ask("GET", "choice", params={"component": "dit", "checkpoint": os.path.join("sub", "out.safetensors")})
    assert (choice["format"], choice["problem"]) == ("int8-channel", None)


@pytest.fixture
def held(monkeypatch):
    """Holds a conversion at its first tensor: held.begun is set there, and it goes on when held.go is."""

    class Held:
        begun, go = threading.Event(), threading.Event()

    real = run.converted

    def converted(*given, **named):
        Held.begun.set()
        assert Held.go.wait(WAIT_S)
        return real(*given, **named)

    monkeypatch.setattr(run, "converted", converted)
    yield Held
    Held.go.set()


def test_one_runs_and_the_others_wait_their_turn(place, queue, ask, held):
    first = ask("POST", "jobs", json={**DIT, "filename": "first"})[1]
    assert held.begun.wait(WAIT_S)
    others = [ask("POST", "jobs", json={**DIT, "filename": name})[1] for name in ("second", "third")]
    status, answer = ask("POST", "jobs", json={**DIT, "filename": "second"})
    assert (status, answer["error"].startswith("second.safetensors is being written by another job")) == (400, True)
    assert [job["state"] for job in ask("GET", "jobs")[1]["jobs"]] == ["running", "waiting", "waiting"]
    assert others[1]["started"] is None
    status, job = ask("POST", f"jobs/{others[0]['id']}/cancel", json={})
    assert (status, job["state"]) == (200, "cancelled")
    held.go.set()
    assert [ended(ask, job)["state"] for job in (first, *others)] == ["done", "cancelled", "done"]
    assert files_in(place / "diffusion_models") == {"wan.safetensors", "first.safetensors", "third.safetensors"}
    status, job = ask("POST", f"jobs/{first['id']}/cancel", json={})
    assert (status, job["state"]) == (200, "done")


def test_a_job_that_is_cancelled_leaves_nothing(place, queue, ask, held, user, host):
    job = ask("POST", "jobs", json={**DIT, "filename": "new/folder/out", "layout": "split"})[1]
    assert held.begun.wait(WAIT_S)
    assert any(name.endswith(".partial") for name in files_in(place / "diffusion_models"))
    assert len([*user.rglob("*.json")]) == 1
    assert ask("POST", f"jobs/{job['id']}/cancel", json={})[1]["state"] == "running"
    held.go.set()
    job = ended(ask, job)
    assert (job["state"], job["error"], job["result"]) == ("cancelled", None, None)
    assert host.sent[-1][1]["state"] == "cancelled"
    assert files_in(place / "diffusion_models") == {"wan.safetensors"}
    assert not [path for path in user.rglob("*") if path.is_file()]


def test_what_fails_says_why_and_the_next_one_runs(place, queue, ask, floats, monkeypatch):
    broken = {**floats["dit"], "blocks.1.ffn.0.weight": floats["dit"]["blocks.1.ffn.0.weight"].clone().fill_(float("nan"))}
    small_models.save(broken, place / "diffusion_models" / "nan.safetensors")
    job = ended(ask, ask("POST", "jobs", json={**DIT, "checkpoint": "nan.safetensors", "filename": "sub/nan_int8"})[1])
    assert (job["state"], job["result"]) == ("failed", None)
    assert "blocks.1.ffn.0.weight holds NaN or infinite values" in job["error"]
    assert files_in(place / "diffusion_models") == {"wan.safetensors", "nan.safetensors"}
    with monkeypatch.context() as patch:
        patch.setattr(converting, "run", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("a bug of ours")))
        job = ended(ask, ask("POST", "jobs", json=DIT)[1])
        assert (job["state"], job["error"]) == ("failed", "a bug of ours")
    assert ended(ask, ask("POST", "jobs", json=DIT)[1])["state"] == "done"


def test_a_name_that_is_taken_meanwhile_is_not_overwritten(place, queue, ask, held):
    job = ask("POST", "jobs", json=DIT)[1]
    assert held.begun.wait(WAIT_S)
    (place / "diffusion_models" / "out.safetensors").write_bytes(b"of another")
    held.go.set()
    job = ended(ask, job)
    assert (job["state"], "is there already" in job["error"]) == ("failed", True)
    assert (place / "diffusion_models" / "out.safetensors").read_bytes() == b"of another"
    assert files_in(place / "diffusion_models") == {"wan.safetensors", "out.safetensors"}


def test_progress_is_told_five_times_a_second_at_most():
    now, told, go = [0.0], [], threading.Event()

    def work(progress):
        for step in range(1, 1001):
            now[0] = step / 100
            progress(step, 1000)
        go.set()
        return {}

    queue = Jobs(told.append, clock=lambda: now[0])
    job = queue.add("convert", "a", "b", 1000, work)
    assert go.wait(WAIT_S)
    queue.close()
    assert queue.get(job["id"])["state"] == "done"
    running = [each["done"] for each in told if each["state"] == "running" and each["done"]]
    assert 45 <= len(running) <= 50
    assert min(later - earlier for earlier, later in itertools.pairwise(running)) >= 20
    assert (told[-1]["state"], told[-1]["done"]) == ("done", 1000)


def test_only_so_many_that_have_ended_are_kept(monkeypatch):
    monkeypatch.setattr(jobs, "KEPT", 3)
    queue, last = Jobs(lambda job: None), threading.Event()
    for number in range(6):
        queue.add("convert", "a", str(number), 1, lambda progress, number=number: last.set() or {} if number == 5 else {})
    assert last.wait(WAIT_S)
    queue.close()
    assert [job["target"] for job in queue.all()] == ["3", "4", "5"]


def test_when_comfyui_ends_nothing_is_left(place, queue, ask, held):
    jobs_ = [ask("POST", "jobs", json={**DIT, "filename": name})[1] for name in ("one", "two")]
    assert held.begun.wait(WAIT_S)
    ending = threading.Thread(target=queue.close)
    ending.start()
    while not all(queue._jobs[job["id"]].cancelled for job in jobs_):
        time.sleep(0.01)
    held.go.set()
    ending.join(WAIT_S)
    assert [job["state"] for job in queue.all()] == ["cancelled", "cancelled"]
    assert files_in(place / "diffusion_models") == {"wan.safetensors"}


def note_of(user, component: str, target) -> None:
    """As a ComfyUI that was killed leaves it."""
    folder = user / "__lightquant" / "conversions"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{len([*folder.iterdir()])}.json").write_text(json.dumps({"component": component, "target": str(target)}))


def test_the_next_start_clears_up_after_a_comfyui_that_was_killed(place, user):
    folder = place / "diffusion_models"
    (folder / "cut.safetensors.partial").write_bytes(b"half")
    (folder / "parts.partial").mkdir()
    (folder / "parts.partial" / "block_0.safetensors").write_bytes(b"half")
    (folder / "another.safetensors.partial").write_bytes(b"the command line's")
    for name in ("cut.safetensors", "parts", "gone.safetensors"):
        note_of(user, "dit", folder / name)
    unfinished.clear()
    assert files_in(folder) == {"wan.safetensors", "another.safetensors.partial"}
    assert not [path for path in user.rglob("*") if path.is_file()]


def test_a_note_can_have_nothing_removed_outside_of_comfyuis_folders(place, user, caplog):
    (place / "mine.partial").write_bytes(b"mine")
    (place / "diffusion_models" / "link").symlink_to(place)
    note_of(user, "dit", place / "mine")
    note_of(user, "dit", place / "diffusion_models" / ".." / "mine")
    note_of(user, "dit", place / "diffusion_models" / "link" / "mine")
    note_of(user, "vae", place / "mine")
    (user / "__lightquant" / "conversions" / "x.json").write_text("{")
    unfinished.clear()
    assert (place / "mine.partial").read_bytes() == b"mine"
    assert caplog.text.count("can't clear up") == 2


def test_what_another_comfyui_is_writing_is_left_alone(place, queue, ask, held, user):
    job = ask("POST", "jobs", json=DIT)[1]
    assert held.begun.wait(WAIT_S)
    unfinished.clear()
    assert (place / "diffusion_models" / "out.safetensors.partial").exists()
    held.go.set()
    assert ended(ask, job)["state"] == "done"


def test_where_no_note_can_be_kept_the_conversion_goes_on(place, queue, ask, user, caplog):
    user.parent.mkdir(exist_ok=True)
    user.write_bytes(b"no folder")
    assert ended(ask, ask("POST", "jobs", json=DIT)[1])["state"] == "done"
    assert "can't note down" in caplog.text


def test_nothing_is_run_that_is_not_prepared(place):
    asked = converting.Conversion("dit", "wan.safetensors", "int8-channel", "out")
    prepared = converting.prepare(asked)
    (place / "diffusion_models" / "wan.safetensors").write_bytes((place / "diffusion_models" / "wan.safetensors").read_bytes() + b" ")
    with pytest.raises(ConvertError, match="was changed while it was converted"):
        converting.convert(prepared, lambda done, total: None)
    assert files_in(place / "diffusion_models") == {"wan.safetensors"}
