"""The real huggingface_hub against a server on this machine: what is asked of it, what stands on the disk, what the user is told."""

import os
from collections import namedtuple

import pytest
from hub_server import SMALL, hub_server
from lightquant.errors import DownloadError
from lightquant.loaders import download as module
from lightquant.loaders.catalogue import CATALOGUE, published
from lightquant.loaders.download import download, plan

WANTED = CATALOGUE["models_t5_umt5-xxl-enc-int8.pth"]
SPLIT = CATALOGUE["wan2.1_i2v_720p_int8_lightx2v_4step_split"]
CONTENT = os.urandom(100_000)


PARTS = {"block_0.safetensors": CONTENT[:70_000], "non_block.safetensors": CONTENT[1:], "model.safetensors.index.json": b"{}"}


@pytest.fixture
def hub(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 10_000)
    with hub_server() as hub:
        hub.files[WANTED.repository, WANTED.name] = CONTENT
        hub.files.update({(SPLIT.repository, f"{SPLIT.name}/{name}"): content for name, content in PARTS.items()})
        yield hub


def names(folder) -> list[str]:
    """Every file in and under a folder."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class StopError(Exception):
    """The user's interrupt."""


def stop_at(count: int):
    def progress(what: str, done: int, total: int) -> None:
        if done >= count:
            raise StopError

    return progress


def test_a_file_comes_whole_with_progress(hub, tmp_path):
    seen = []
    path = download(WANTED, str(tmp_path / "new" / "folder"), hub.endpoint, progress=lambda *each: seen.append(each))
    assert path == str(tmp_path / "new" / "folder" / WANTED.name)
    assert names(tmp_path) == [f"new/folder/{WANTED.name}"]
    assert (tmp_path / "new" / "folder" / WANTED.name).read_bytes() == CONTENT
    assert ("downloading", 100_000, 100_000) in seen
    assert seen[-1] == ("checking", 100_000, 100_000)


def test_everything_is_of_one_commit(hub, tmp_path):
    download(WANTED, str(tmp_path), hub.endpoint)
    (_, asked, _), (_, got, _) = hub.asked
    assert "/resolve/main/" in asked
    assert "/resolve/0123456789abcdef0123456789abcdef01234567/" in got


def test_a_connection_that_is_cut_is_taken_up_at_once(hub, tmp_path):
    hub.cut_at = 40_000
    download(WANTED, str(tmp_path), hub.endpoint)
    (first, second) = hub.fetched()
    assert first[1] is None
    start = int(second[1].removeprefix("bytes=").removesuffix("-"))
    assert 0 < start <= 40_000
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT


def test_a_server_that_goes_away_leaves_a_part_that_the_next_run_goes_on_with(hub, tmp_path):
    hub.cut_at, hub.gone_after_cut = 40_000, True
    with pytest.raises(DownloadError, match=r"the connection failed or was cut .*run it again and it goes on from there"):
        download(WANTED, str(tmp_path), hub.endpoint)
    (left,) = names(tmp_path)
    assert left.startswith(f"{WANTED.name}.")
    assert left.endswith(".partial")
    size = (tmp_path / left).stat().st_size
    assert 0 < size <= 40_000
    hub.gone = False
    hub.asked.clear()
    assert plan(WANTED, str(tmp_path), hub.endpoint).missing == 100_000 - size
    download(WANTED, str(tmp_path), hub.endpoint)
    assert hub.fetched() == [(WANTED.name, f"bytes={size}-")]
    assert names(tmp_path) == [WANTED.name]
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT


def test_as_the_hub_itself_has_it_elsewhere_and_in_xet(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.utils._headers.get_token", lambda: "hf_secret")
    hub.on_cdn, hub.cut_at = True, 40_000
    download(WANTED, str(tmp_path), hub.endpoint)
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT
    sent = [(path, asked) for method, path, asked in hub.asked if path.startswith("/cdn/") and method == "GET"]
    assert [asked for _, asked in sent] == [None, "bytes=40000-"]
    assert hub.tokens
    assert all("/resolve/" in path for path in hub.tokens)
    assert not any("xet" in path for _, path, _ in hub.asked)


def test_the_user_stops_and_goes_on(hub, tmp_path):
    with pytest.raises(StopError):
        download(WANTED, str(tmp_path), hub.endpoint, progress=stop_at(30_000))
    (left,) = names(tmp_path)
    assert (tmp_path / left).stat().st_size == 30_000
    hub.asked.clear()
    with pytest.raises(StopError):
        download(WANTED, str(tmp_path), hub.endpoint, progress=stop_at(50_000))
    download(WANTED, str(tmp_path), hub.endpoint)
    assert hub.fetched() == [(WANTED.name, "bytes=30000-"), (WANTED.name, "bytes=50000-")]
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT


def test_a_server_without_ranges_is_asked_for_all_of_it_again(hub, tmp_path):
    hub.cut_at, hub.gone_after_cut = 40_000, True
    with pytest.raises(DownloadError):
        download(WANTED, str(tmp_path), hub.endpoint)
    hub.gone, hub.ignores_ranges = False, True
    try:
        download(WANTED, str(tmp_path), hub.endpoint)
    except DownloadError:
        assert names(tmp_path) == []  # older clients notice by the size alone
        download(WANTED, str(tmp_path), hub.endpoint)
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT


def test_a_file_that_changed_on_the_hub_is_not_continued(hub, tmp_path):
    hub.cut_at, hub.gone_after_cut = 40_000, True
    with pytest.raises(DownloadError):
        download(WANTED, str(tmp_path), hub.endpoint)
    hub.gone = False
    hub.files[WANTED.repository, WANTED.name] = CONTENT[::-1]
    hub.asked.clear()
    download(WANTED, str(tmp_path), hub.endpoint)
    assert hub.fetched() == [(WANTED.name, None)]
    assert names(tmp_path) == [WANTED.name]
    assert (tmp_path / WANTED.name).read_bytes() == CONTENT[::-1]


def test_a_wrong_checksum_leaves_nothing(hub, tmp_path):
    hub.lies[WANTED.name] = "a" * 64
    with pytest.raises(DownloadError, match=r"came damaged: its checksum is [0-9a-f]{64}, and the server says a{64}. What came was removed"):
        download(WANTED, str(tmp_path), hub.endpoint)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("status", "said"), [(401, "hf auth login"), (403, "hf auth login"), (404, "renamed or withdrawn"), (500, "is kept")])
def test_refusals_in_words(hub, tmp_path, status, said):
    hub.status[WANTED.name] = status
    with pytest.raises(DownloadError, match=rf"{WANTED.name} from {WANTED.repository}: .*{said}"):
        download(WANTED, str(tmp_path), hub.endpoint)
    assert names(tmp_path) == []


def test_no_such_repository(hub, tmp_path):
    hub.files.clear()
    with pytest.raises(DownloadError, match=r"no such file \(404\)"):
        download(SPLIT, str(tmp_path), hub.endpoint)


def test_nobody_answers(tmp_path):
    with pytest.raises(DownloadError, match="connection failed"):
        download(WANTED, str(tmp_path), "http://127.0.0.1:9")
    for endpoint in ("hf-mirror.com", "", "http://", "ftp://a", "http://[", "http://a b"):
        with pytest.raises(DownloadError, match="is no endpoint"):
            download(WANTED, str(tmp_path), endpoint)


def test_what_is_no_hub_is_not_believed(hub, tmp_path):
    hub.is_a_hub = False
    with pytest.raises(DownloadError, match="no Hugging Face hub"):
        download(WANTED, str(tmp_path), hub.endpoint)
    hub.is_a_hub = True
    hub.lies[WANTED.name] = "no checksum"
    with pytest.raises(DownloadError, match="size and checksum"):
        download(WANTED, str(tmp_path), hub.endpoint)
    assert hub.fetched() == []


def test_offline(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        download(WANTED, str(tmp_path), hub.endpoint)


def test_too_little_space_is_noticed_before_a_byte_is_fetched(hub, tmp_path):
    with pytest.raises(DownloadError, match=r"needs 97.7 KiB more, and .* has 97.7 KiB free. Nothing was fetched"):
        download(WANTED, str(tmp_path), hub.endpoint, space=lambda folder: 99_999)
    assert hub.fetched() == []
    download(WANTED, str(tmp_path), hub.endpoint, space=lambda folder: 100_000)


def test_a_full_disk_and_a_folder_that_cant_be_written(hub, tmp_path, monkeypatch):
    if os.path.exists("/dev/full"):
        with monkeypatch.context() as patch:
            patch.setattr(module.Part, "received", 0)
            patch.setattr(module, "_parts", lambda remotes, targets, progress: (module.Part(remotes[0], targets[0], "/dev/full", False),))
            with pytest.raises(DownloadError, match="the disk is full"):
                download(WANTED, str(tmp_path), hub.endpoint)
    (tmp_path / "file").touch()
    with pytest.raises(DownloadError, match="can't be written to"):
        download(WANTED, str(tmp_path / "file"), hub.endpoint)


def test_what_is_there_is_not_fetched_again_and_never_overwritten(hub, tmp_path):
    path = tmp_path / WANTED.name
    path.write_bytes(CONTENT)
    os.utime(path, (1, 1))
    assert download(WANTED, str(tmp_path), hub.endpoint, space=lambda folder: 0) == str(path)
    assert (hub.fetched(), path.stat().st_mtime) == ([], 1)
    for other in (b"mine", CONTENT[::-1]):
        path.write_bytes(other)
        with pytest.raises(DownloadError, match=r"is there already and is not what the hub has"):
            download(WANTED, str(tmp_path), hub.endpoint)
        assert path.read_bytes() == other
    hub.lies[WANTED.name] = "a" * 64
    with pytest.raises(DownloadError, match="came damaged"):
        download(WANTED, str(tmp_path), hub.endpoint, force=True)
    assert path.read_bytes() == CONTENT[::-1]
    hub.lies.clear()
    download(WANTED, str(tmp_path), hub.endpoint, force=True)
    assert path.read_bytes() == CONTENT
    assert names(tmp_path) == [WANTED.name]


def test_a_file_that_appears_in_the_meantime_is_not_overwritten(hub, tmp_path):
    def copied_by_the_user(what: str, done: int, total: int) -> None:
        (tmp_path / WANTED.name).write_bytes(b"mine")

    with pytest.raises(DownloadError, match="is there already"):
        download(WANTED, str(tmp_path), hub.endpoint, progress=copied_by_the_user)
    assert (tmp_path / WANTED.name).read_bytes() == b"mine"


def test_of_a_folder_only_the_damaged_part_is_fetched_again(hub, tmp_path):
    hub.lies[f"{SPLIT.name}/block_0.safetensors"] = "a" * 64
    with pytest.raises(DownloadError, match=r"block_0\.safetensors came damaged"):
        download(SPLIT, str(tmp_path), hub.endpoint)
    assert len(names(tmp_path)) == 2
    hub.lies.clear()
    hub.asked.clear()
    download(SPLIT, str(tmp_path), hub.endpoint)
    assert hub.fetched() == [("block_0.safetensors", None)]
    assert names(tmp_path) == sorted(f"{SPLIT.name}/{name}" for name in PARTS)


def test_a_folder_comes_with_all_its_parts_at_once(hub, tmp_path):
    assert min(map(len, PARTS.values())) <= SMALL  # one of them has git's checksum
    with pytest.raises(StopError):
        download(SPLIT, str(tmp_path), hub.endpoint, progress=stop_at(150_000))
    assert all(name.endswith(".partial") for name in names(tmp_path))
    hub.asked.clear()
    download(SPLIT, str(tmp_path), hub.endpoint)
    assert hub.fetched() == [("non_block.safetensors", "bytes=80000-")]
    assert {path.name: path.read_bytes() for path in (tmp_path / SPLIT.name).iterdir()} == PARTS
    (tmp_path / SPLIT.name / "block_0.safetensors").unlink()
    hub.asked.clear()
    download(SPLIT, str(tmp_path), hub.endpoint)
    assert hub.fetched() == [("block_0.safetensors", None)]


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "a\\..\\..\\x", "C:x", "a//x", "x\0"])
def test_a_name_from_the_server_leads_nowhere_else(hub, tmp_path, name):
    hub.listed_as[f"{SPLIT.name}/block_0.safetensors"] = f"{SPLIT.name}/{name}"
    with pytest.raises(DownloadError, match=f"leads out of {SPLIT.name}"):
        download(SPLIT, str(tmp_path), hub.endpoint)
    assert hub.fetched() == []
    assert names(tmp_path) == []


def test_two_at_once(hub, tmp_path):
    from filelock import FileLock

    with FileLock(tmp_path / f"{WANTED.name}.lock"), pytest.raises(DownloadError, match="being downloaded already"):
        download(WANTED, str(tmp_path), hub.endpoint)
    assert hub.fetched() == []


def test_names_that_the_catalogue_has_not():
    assert published(WANTED.name) is WANTED
    with pytest.raises(DownloadError, match="List it with: lightquant download"):
        published("../x")


def test_free_space_of_a_folder_that_is_not_there_yet(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("shutil.disk_usage", lambda path: asked.append(path) or namedtuple("Usage", "free")(7))
    assert module.free_space(str(tmp_path / "a" / "b")) == 7
    assert asked == [str(tmp_path)]


def test_a_disk_that_is_not_there_has_no_room(monkeypatch):
    """As Z:\\ is on Windows: the way up ends at itself."""
    monkeypatch.setattr(module.os.path, "isdir", lambda path: False)
    assert module.free_space("/models/wan") == 0
