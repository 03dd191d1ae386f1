"""A real ComfyUI in this process, and small checkpoints of the true architectures in its model folders."""

import os
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--dynamic-vram", action="store_true", help="run with ComfyUI's dynamic VRAM, as its server does on NVIDIA (needs a GPU)")


def pytest_configure(config: pytest.Config) -> None:
    folder = os.environ.get("COMFYUI_PATH")
    if not folder:
        raise pytest.UsageError("COMFYUI_PATH is not set. Run the tests with: python3 scripts/test.py")
    if config.getoption("--dynamic-vram"):
        import host

        host.start_comfyui(folder)
        return
    sys.path.insert(0, folder)
    import torch
    from comfy.cli_args import args

    args.cpu = not torch.cuda.is_available()


@pytest.fixture(autouse=True)
def as_the_server_does():
    """ComfyUI's server runs nodes in inference mode; tensors made outside of it behave differently inside."""
    import torch

    with torch.inference_mode():
        yield


@pytest.fixture(autouse=True)
def nothing_left():
    """Each test starts with no model loaded and no list of the files that another one had, whose folders are gone."""
    yield
    if "comfy.model_management" in sys.modules:
        sys.modules["comfy.model_management"].unload_all_models()
    if "folder_paths" in sys.modules:
        sys.modules["folder_paths"].filename_list_cache.clear()


@pytest.fixture
def monkeypatch(nothing_left, monkeypatch):
    """What a test replaced in ComfyUI is back in its place before the models are unloaded."""
    return monkeypatch


@pytest.fixture(autouse=True)
def nothing_remembered(tmp_path_factory, monkeypatch):
    """Each test starts with nothing found out about the kernels of other packages, and leaves the user's own cache alone."""
    from lightquant.kernels.checks import remembered

    folder = str(tmp_path_factory.mktemp("cache"))
    monkeypatch.setenv("XDG_CACHE_HOME", folder)
    monkeypatch.setenv("LOCALAPPDATA", folder)
    monkeypatch.setattr(remembered, "_here", {})


@pytest.fixture(autouse=True)
def english(monkeypatch):
    """The command line speaks the shell's language, and the tests read English."""
    monkeypatch.setenv("LC_ALL", "C.UTF-8")


@pytest.fixture(autouse=True)
def readable_in_chinese(monkeypatch):
    """Whatever errors a test provokes, and whatever a node shows in it, can be read in Chinese to the last word of the pack's own."""
    from in_chinese import left_over
    from lightquant import errors

    seen = set()

    def note(error: Exception, *args: object) -> None:
        seen.update(map(str, args))

    monkeypatch.setattr(errors.LightQuantError, "__init__", note, raising=False)
    status = sys.modules.get("lightquant.bridge.status")
    if status:
        monkeypatch.setattr(status, "in_users_language", lambda text: seen.add(text) or text)
    yield
    # The kernel report cuts its texts into lines once they are translated.
    seen = {text for text in seen if not text.startswith("LightQuant kernel report")}
    assert {text: left for text in seen if (left := left_over(text))} == {}


@pytest.fixture(scope="session")
def device():
    """Where this machine computes."""
    import comfy.model_management

    return comfy.model_management.get_torch_device()


@pytest.fixture(scope="session")
def floats():
    """The small float models, by component; "i2v" is the image-to-video DiT."""
    import small_models
    import torch

    with torch.inference_mode():
        return {"dit": small_models.dit(), "i2v": small_models.dit(image_to_video=True), "t5": small_models.t5(), "clip": small_models.clip()}


@pytest.fixture(scope="session")
def spiece():
    """A real, small tokenizer."""
    import small_models

    return small_models.spiece()


@pytest.fixture(scope="session")
def models(floats, spiece, tmp_path_factory):
    """ComfyUI's model folders with a checkpoint of every component in each format, the float DiTs and the tokenizer. Returns the folder."""
    import folder_paths
    import small_models
    import torch

    root = tmp_path_factory.mktemp("models")
    with torch.inference_mode():
        for tag in ("fp8", "int8"):
            name = f"{tag}-channel"
            small_models.save(small_models.quantized(floats["dit"], "dit", name), root / "diffusion_models" / f"wan_t2v_{tag}.safetensors")
            small_models.save(small_models.quantized(floats["i2v"], "dit", name), root / "diffusion_models" / f"wan_i2v_{tag}.safetensors")
            small_models.save(small_models.quantized(floats["t5"], "t5", name), root / "text_encoders" / f"models_t5_umt5-xxl-enc-{tag}.pth")
            clip = f"models_clip_open-clip-xlm-roberta-large-vit-huge-14-{tag}.pth"
            small_models.save(small_models.quantized(floats["clip"], "clip", name), root / "clip_vision" / clip)
        small_models.save(floats["dit"], root / "diffusion_models" / "wan_t2v.safetensors")
        small_models.save(floats["i2v"], root / "diffusion_models" / "wan_i2v.safetensors")
    tokenizer = root / "text_encoders" / "google" / "umt5-xxl" / "spiece.model"
    tokenizer.parent.mkdir(parents=True)
    tokenizer.write_bytes(spiece)
    for folder in ("diffusion_models", "text_encoders", "clip_vision"):
        folder_paths.add_model_folder_path(folder, str(root / folder), is_default=True)
    return root


@pytest.fixture
def checkpoint(models):
    """Reads a checkpoint of the model folders by component and file name: the truth that loaded layers are held to."""
    from lightquant.bridge.folders import full_path, open_file
    from lightquant.loaders import read

    return lambda component, name: read(full_path(component, name), component, open_file)


@pytest.fixture
def add_folder():
    """Gives ComfyUI one more model folder of a type, for this test only."""
    import folder_paths

    before = {kind: list(folders) for kind, (folders, _) in folder_paths.folder_names_and_paths.items()}
    yield lambda kind, folder: folder_paths.add_model_folder_path(kind, str(folder))
    for kind, folders in before.items():
        folder_paths.folder_names_and_paths[kind][0][:] = folders
