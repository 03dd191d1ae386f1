"""The demo: once as a user runs it, in a real ComfyUI server, and each way it can fail."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import demo_files
import psutil
import pytest
import small_models
import torch
from demo_base import arguments, make_base
from demo_client import Client
from demo_graphs import SAMPLER, Video, float_loader, graph, quantized_loader
from demo_measure import Run
from demo_options import parse
from demo_report import cosine, relative_error, results, table
from demo_run import choose_schemes
from demo_server import DemoError, free_port, running_server
from PIL import Image

DEMO = Path(__file__).parents[2] / "scripts" / "demo.py"
COMFYUI = Path(os.environ.get("COMFYUI_PATH", ""))
SCHEMES = ["fp8-torch", "int8-torch"]
SMALLEST = ["--frames", "5", "--steps", "2", "--width", "128", "--height", "128", "--schemes", ",".join(SCHEMES)]
VIDEO = Video(128, 128, 5, 2)
ON_CPU = not torch.cuda.is_available()

HEED_INTERRUPTS = None if os.name == "nt" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
"""Where the tests run in the background of a shell, as on a build machine, interrupts are ignored, and so would the demo's process."""


def demo(output: Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-u", DEMO, "--comfyui", COMFYUI, "--output", output, *SMALLEST, *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, preexec_fn=HEED_INTERRUPTS)


def processes_of(output: Path) -> list[psutil.Process]:
    """Those that were started for this output folder, the server among them."""
    return [each for each in psutil.process_iter(["cmdline"]) if any(str(output) in word for word in each.info["cmdline"] or ())]


def test_every_scheme_comes_close_to_float_in_a_real_server(tmp_path: Path):
    # Windows delivers Ctrl-C to a console, not to a process, so a kept server could not be ended there.
    process = demo(tmp_path / "out", *([] if os.name == "nt" else ["--keep"]))
    printed = ""
    for line in process.stdout:
        printed += line
        if found := re.match(r"ComfyUI is up at (http://\S+);", line):
            with urllib.request.urlopen(f"{found[1]}/object_info/LightQuantLoadDiT") as answer:
                assert "LightQuantLoadDiT" in json.load(answer)
            process.send_signal(signal.SIGINT)
    assert process.wait() == 0, printed
    found = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    runs = {(run["model"], run["task"]): run for run in found["runs"]}
    assert list(runs) == [(model, task) for model in ("float", *SCHEMES) for task in ("t2v", "i2v")]
    for (model, task), run in runs.items():
        assert run["finite"]
        assert run["seconds_per_step"] > 0
        assert run["memory"]["peak"] > run["memory"]["before"] > 0
        if model in SCHEMES:
            assert set(run["kernels"]) == ({"dit", "t5", "clip"} if task == "i2v" else {"dit", "t5"})
            assert all(kernel.startswith(f"{model}: ") for kernel in run["kernels"].values())
            assert run["files_of_float"]["t5"] < 0.6
            assert run["cosine"] >= (0.99 if task == "t2v" else 0.97)
            assert 0 < run["relative_error"] < 0.2
        assert f"{model}, {task}, timed: step 1/2 2/2" in printed
    assert "same seed again" in printed
    with Image.open(tmp_path / "out" / "latents.png") as image:
        panels = [image.crop(panel["box"]) for panel in found["panels"]]
    assert len(panels) == len(runs)
    assert all(min(panel.size) > 100 and len(panel.getcolors(1 << 20)) > 100 for panel in panels)
    assert processes_of(tmp_path) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows delivers Ctrl-C to a console, not to a process")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_demo_leaves_no_server(tmp_path: Path, how: signal.Signals):
    process = demo(tmp_path / "out")
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith("Starting ComfyUI"):
            process.send_signal(how)
    assert process.wait() == 130
    assert lines[-1] == "The demo was interrupted.\n"
    assert "Traceback" not in "".join(lines)
    assert processes_of(tmp_path) == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--dit", "missing.safetensors"], "there is no file"),
        (["--float-dit", str(DEMO)], "name --dit too"),
        (["--tokenizer", str(DEMO)], "name --t5 too"),
        (["--frames", "6"], "4n + 1"),
        (["--width", "100"], "multiple of 16"),
        (["--steps", "1"], "too few"),
        (["--steps", "many"], "not a number"),
    ],
)
def test_arguments_that_make_no_sense_are_named(given: list[str], said: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as end:
        parse(given)
    assert end.value.code == 2
    assert said in capsys.readouterr().err


def test_a_missing_file_stops_the_demo_before_anything_is_set_up(tmp_path: Path):
    process = demo(tmp_path / "out", "--dit", str(tmp_path / "missing.safetensors"))
    printed, _ = process.communicate()
    assert process.returncode == 2
    assert str(tmp_path / "missing.safetensors") in printed
    assert not (tmp_path / "out").exists()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "server"
    make_base(folder, [])
    broken = folder / "models" / "diffusion_models" / "broken.safetensors"
    broken.parent.mkdir(parents=True)
    broken.write_bytes(b"not a model")
    small_models.save(small_models.t5(), folder / "models" / "text_encoders" / "t5.pth")
    spiece = folder / "models" / demo_files.TOKENIZER
    spiece.parent.mkdir(parents=True)
    spiece.write_bytes(small_models.spiece())
    return folder


def test_the_client_says_what_went_wrong_in_the_server(base: Path):
    loaders = {"t5": float_loader("t5", "t5.pth"), "clip": float_loader("clip", "none.pth")}

    async def ask(client: Client, dit: str) -> None:
        with pytest.raises(DemoError) as problem:
            await client.run(graph("t2v", {**loaders, "dit": quantized_loader("dit", dit, "auto")}, VIDEO), SAMPLER, print)
        problems.append(str(problem.value))

    async def all_ways(server) -> None:
        async with Client(server) as client:
            await ask(client, "missing.safetensors")
            await ask(client, "broken.safetensors")
            server.process.kill()
            await ask(client, "broken.safetensors")

    problems: list[str] = []
    log = base.parent / "server.log"
    with running_server(COMFYUI, base, log, arguments(base, {}, ON_CPU)) as server:
        asyncio.run(all_ways(server))
    refused, raised, lost = problems
    assert "refused the graph" in refused
    assert "LightQuantLoadDiT" in refused
    assert "missing.safetensors" in refused
    assert "LightQuantLoadDiT (dit) stopped" in raised
    assert "broken.safetensors" in raised
    assert "connection to the ComfyUI server was lost" in lost
    assert str(log) in lost
    assert processes_of(base) == []


def test_a_server_that_does_not_start_shows_the_end_of_its_log(tmp_path: Path):
    (tmp_path / "main.py").write_text("print('no such thing'); raise SystemExit(3)")
    said = r"code 3 before it answered(.|\n)*\| no such thing"
    with pytest.raises(DemoError, match=said), running_server(tmp_path, tmp_path, tmp_path / "log", []):
        pass


def test_a_taken_port_is_named():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(DemoError, match=f"Port {port} .* can't be used"):
            free_port(port)
    assert free_port(port) == port


def test_the_servers_folder_replaces_only_what_the_demo_made(tmp_path: Path):
    precious = tmp_path / "server" / "precious.txt"
    precious.parent.mkdir()
    precious.touch()
    with pytest.raises(DemoError, match="was not made by the demo"):
        make_base(tmp_path / "server", [])
    precious.unlink()
    precious.parent.rmdir()
    make_base(tmp_path / "server", [])
    named = tmp_path / "server" / "models" / "model.safetensors"
    named.touch()
    with pytest.raises(DemoError, match="which the demo empties"):
        make_base(tmp_path / "server", [named])
    make_base(tmp_path / "server", [])
    assert not named.exists()
    assert (DEMO.parents[1] / "nodes").is_dir()


@pytest.fixture
def named_dit(tmp_path: Path) -> Path:
    return small_models.save(small_models.quantized(small_models.dit(image_to_video=True), "dit", "fp8-channel"), tmp_path / "mine.safetensors")


def test_a_real_checkpoint_takes_the_small_ones_place(named_dit: Path, tmp_path: Path):
    models = demo_files.prepare(parse(["--dit", str(named_dit)]), tmp_path / "models")
    assert models.tasks() == ["i2v"]
    assert models.formats() == {"fp8-channel"}
    assert not models.has_float()
    assert models.folders() == {"diffusion_models": {tmp_path}}
    loaders = models.loaders("i2v", "fp8-torch")
    assert loaders["dit"]["inputs"]["checkpoint"] == "mine.safetensors"
    assert loaders["t5"]["inputs"]["checkpoint"].endswith("-fp8.pth")
    with pytest.raises(DemoError, match="int8-torch reads int8-channel; the models of this demo are stored as fp8-channel"):
        choose_schemes(["int8-torch"], models, torch.device("cpu"))
    with pytest.raises(DemoError, match="There is no scheme nvfp4"):
        choose_schemes(["nvfp4"], models, torch.device("cpu"))
    with pytest.raises(DemoError, match="fp8-vllm can't run on this machine"):
        choose_schemes(["fp8-vllm"], models, torch.device("cpu"))


def test_a_file_of_another_kind_is_refused(named_dit: Path, tmp_path: Path):
    with pytest.raises(DemoError, match="should be a t5 and is a dit"):
        demo_files.prepare(parse(["--t5", str(named_dit)]), tmp_path / "models")
    with pytest.raises(DemoError, match="a float file is needed here"):
        demo_files.prepare(parse(["--dit", str(named_dit), "--float-dit", str(named_dit)]), tmp_path / "models")


def test_without_a_float_model_the_errors_are_empty_and_said_to_be(named_dit: Path, tmp_path: Path):
    options = parse(["--dit", str(named_dit)])
    models = demo_files.prepare(options, tmp_path / "models")
    system = {"system": {"comfyui_version": "1", "pytorch_version": "2"}, "devices": [{"name": "cpu"}]}
    memory = {"before": 1 << 20, "peak": 2 << 20, "device_before": None, "device_peak": None}
    run = Run("fp8-torch", "i2v", {"dit": 5}, {"dit": "fp8-torch: because"}, [0.5], [1.0], memory, 0.0, torch.ones(3), None)
    found = results(options, system, models, [run], {})
    assert found["runs"][0]["cosine"] is None
    assert str(named_dit) in found["weights"]
    assert "there is no float model to compare with" in table(found)


def test_errors_are_taken_against_the_reference():
    reference = torch.tensor([3.0, 4.0])
    assert cosine(2 * reference, reference) == pytest.approx(1)
    assert relative_error(2 * reference, reference) == pytest.approx(1)
    assert relative_error(torch.tensor([3.0, 4.5]), reference) == pytest.approx(0.1)
