"""The download node: off until it is allowed, and then with progress and the user's interrupt."""

import json
import os
from pathlib import Path

import comfy.cli_args
import comfy.model_management
import comfy.utils
import folder_paths
import pytest
from hub_server import hub_server
from lightquant.bridge import download as bridge
from lightquant.errors import DownloadError
from lightquant.loaders import download as loaders
from lightquant.loaders.catalogue import CATALOGUE, folder_for
from lightquant.nodes.download import Download

REPOSITORY = Path(__file__).resolve().parents[2]
WANTED = CATALOGUE["wan2.1_i2v_lora_rank64_lightx2v_4step.safetensors"]
CONTENT = os.urandom(50_000)


@pytest.fixture
def user(tmp_path, monkeypatch):
    """Writes ComfyUI's settings file."""
    monkeypatch.setattr(folder_paths, "get_user_directory", lambda: str(tmp_path / "user"))

    def write(content: str) -> None:
        (tmp_path / "user" / "default").mkdir(parents=True, exist_ok=True)
        (tmp_path / "user" / "default" / "comfy.settings.json").write_text(content, encoding="utf-8")

    return write


@pytest.fixture
def loras(tmp_path, monkeypatch):
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "loras", ([str(tmp_path / "loras")], {".safetensors"}))
    return tmp_path / "loras"


@pytest.fixture
def hub(monkeypatch, loras):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    with hub_server() as hub:
        hub.files[WANTED.repository, WANTED.name] = CONTENT
        real = loaders.download
        monkeypatch.setattr(bridge.download, "download", lambda *given, **named: real(*given, endpoint=hub.endpoint, **named))
        yield hub


ON = json.dumps({"LightQuant.AllowDownload": True})


def test_schema():
    schema = Download.define_schema()
    assert (schema.node_id, schema.is_output_node) == ("LightQuantDownload", True)
    assert schema.inputs[0].options == [*CATALOGUE]
    assert [output.io_type for output in schema.outputs] == ["STRING"]


@pytest.mark.parametrize("content", [None, "{}", '{"LightQuant.AllowDownload": false}', '{"LightQuant.AllowDownload": "yes"}', "[]", "broken"])
def test_it_is_off_until_it_is_turned_on(user, hub, content):
    if content is not None:
        user(content)
    with pytest.raises(DownloadError, match=r"Turn on LightQuant > Download > Allow the download node"):
        Download.execute(name=WANTED.name)
    assert hub.asked == []


def test_it_stays_off_for_several_users(user, hub, monkeypatch):
    user(ON)
    monkeypatch.setattr(comfy.cli_args.args, "multi_user", True)
    with pytest.raises(DownloadError, match="Downloading by a node is off"):
        Download.execute(name=WANTED.name)
    assert hub.asked == []


def test_the_setting_is_read_where_comfyui_writes_it(user, tmp_path):
    """ComfyUI's own code writes the file."""
    from app.app_settings import AppSettings
    from app.user_manager import UserManager
    from lightquant.bridge.settings import ALLOW_DOWNLOAD, is_on

    manager = UserManager()
    assert isinstance(manager.settings, AppSettings)
    assert not is_on(ALLOW_DOWNLOAD)
    manager.settings.save_settings(type("Request", (), {"headers": {}})(), {ALLOW_DOWNLOAD: True})
    assert is_on(ALLOW_DOWNLOAD)


def test_it_fetches_with_progress(user, hub, loras, monkeypatch):
    user(ON)
    seen = []
    monkeypatch.setattr(comfy.utils, "PROGRESS_BAR_HOOK", lambda value, total, preview, node_id=None: seen.append((value, total)))
    before = Download.fingerprint_inputs(name=WANTED.name)
    output = Download.execute(name=WANTED.name)
    assert output.args == (str(loras / WANTED.name),)
    assert output.ui.as_dict()["text"] == (str(loras / WANTED.name),)
    assert (loras / WANTED.name).read_bytes() == CONTENT
    assert seen[-1] == (1000, 1000)
    assert Download.fingerprint_inputs(name=WANTED.name) != before


def test_the_user_can_cancel_and_go_on(user, hub, loras, monkeypatch):
    user(ON)
    ticks = iter([False, False, True])
    check = comfy.model_management.throw_exception_if_processing_interrupted

    def interrupt_at_the_third() -> None:
        comfy.model_management.interrupt_current_processing(next(ticks))
        check()

    with monkeypatch.context() as patch:
        patch.setattr(comfy.model_management, "throw_exception_if_processing_interrupted", interrupt_at_the_third)
        with pytest.raises(comfy.model_management.InterruptProcessingException):
            Download.execute(name=WANTED.name)
    comfy.model_management.interrupt_current_processing(False)
    assert folder_paths.recursive_search(str(loras))[0] == [path.name for path in loras.iterdir()]
    assert folder_paths.filter_files_extensions([path.name for path in loras.iterdir()], folder_paths.supported_pt_extensions) == []
    Download.execute(name=WANTED.name)
    assert hub.fetched() == [(WANTED.name, None), (WANTED.name, "bytes=30000-")]


def test_the_settings_dialog_has_the_setting():
    from lightquant.bridge.settings import ALLOW_DOWNLOAD

    script = (REPOSITORY / "web" / "js" / "settings.js").read_text(encoding="utf-8")
    assert f'id: "{ALLOW_DOWNLOAD}"' in script
    assert "defaultValue: false" in script
    for language in ("en", "zh"):
        texts = json.loads((REPOSITORY / "locales" / language / "settings.json").read_text(encoding="utf-8"))
        assert ALLOW_DOWNLOAD.replace(".", "_") in texts
        if language == "en":
            assert all(f'{key}: "{text}"' in script for key, text in texts[ALLOW_DOWNLOAD.replace(".", "_")].items())


def test_where_each_component_goes():
    models = folder_paths.models_dir
    for name in ("wan2.1_t2v_14b_int8_lightx2v_4step.safetensors", "models_t5_umt5-xxl-enc-int8.pth"):
        kind = CATALOGUE[name].folder
        ours = [os.path.join(models, old) for old in ("unet", "clip")] + [os.path.join(models, kind)]
        assert folder_for(ours, models) == os.path.join(models, kind)
        assert bridge.target(name) == os.path.join(folder_for(folder_paths.get_folder_paths(kind), models), name)
    assert folder_for(["/mine", os.path.join(models, "loras")], models) == "/mine"


def test_a_name_that_is_not_in_the_catalogue(user):
    user(ON)
    with pytest.raises(DownloadError, match="catalogue has no"):
        Download.execute(name="../../x")
