import pytest
import torch
from lightquant.errors import CheckpointError
from lightquant.loaders import Checkpoint
from lightquant.loaders.tokenizer import find_tokenizer


def nothing(path: str) -> None:
    return None


def checkpoint(path, spiece=None, words: int = 128) -> Checkpoint:
    return Checkpoint(str(path), "t5", {}, {"shared.weight": torch.empty(words, 8)}, {}, spiece)


def as_tensor(data: bytes) -> torch.Tensor:
    return torch.frombuffer(bytearray(data), dtype=torch.uint8)


def test_it_is_looked_for_inside_beside_and_elsewhere(tmp_path, spiece):
    path, other = tmp_path / "t5.pth", tmp_path / "elsewhere" / "umt5.model"
    other.parent.mkdir()
    other.write_bytes(spiece)
    assert find_tokenizer(checkpoint(path), None, [str(other)], nothing).source == str(other)
    beside = tmp_path / "google" / "umt5-xxl" / "spiece.model"
    beside.parent.mkdir(parents=True)
    beside.write_bytes(spiece)
    assert find_tokenizer(checkpoint(path), None, [str(other)], nothing).source == str(beside)
    assert find_tokenizer(checkpoint(path, as_tensor(spiece)), None, [str(other)], nothing).source == str(path)
    assert find_tokenizer(checkpoint(path, as_tensor(spiece)), str(other), [], nothing).source == str(other)


def test_a_comfyui_file_carries_it(tmp_path, spiece):
    found = find_tokenizer(checkpoint(tmp_path / "t5.pth"), None, ["a.safetensors"], lambda path: as_tensor(spiece))
    assert bytes(found.model.numpy()) == spiece


def test_none_is_said_plainly(tmp_path):
    with pytest.raises(CheckpointError, match=r"found no tokenizer for .*t5.pth.*google.umt5-xxl.*spiece.model") as caught:
        find_tokenizer(checkpoint(tmp_path / "t5.pth"), None, ["a.safetensors"], nothing)
    assert "pick a tokenizer" in str(caught.value)
    with pytest.raises(CheckpointError, match=r"no tokenizer in a.safetensors"):
        find_tokenizer(checkpoint(tmp_path / "t5.pth"), "a.safetensors", [], nothing)


def test_other_models_tokenizers_and_broken_files_are_passed_over(tmp_path, spiece):
    wrong, right = tmp_path / "a_gemma.model", tmp_path / "umt5.model"
    wrong.write_bytes(b"no model at all")
    right.write_bytes(spiece)
    assert find_tokenizer(checkpoint(tmp_path / "t5.pth"), None, [str(wrong), str(right)], nothing).source == str(right)
    with pytest.raises(CheckpointError, match=r"found no tokenizer.*can't read the tokenizer in .*a_gemma.model"):
        find_tokenizer(checkpoint(tmp_path / "t5.pth"), None, [str(wrong)], nothing)


def test_another_models_tokenizer_is_refused(tmp_path, spiece):
    path = tmp_path / "spiece.model"
    path.write_bytes(spiece)
    for words in (16, 256384):
        with pytest.raises(CheckpointError, match=f"is not this model's.*{words} embeddings"):
            find_tokenizer(checkpoint(tmp_path / "t5.pth", words=words), str(path), [], nothing)
    path.write_bytes(b"no model at all")
    with pytest.raises(CheckpointError, match="no sentencepiece model"):
        find_tokenizer(checkpoint(tmp_path / "t5.pth"), str(path), [], nothing)
