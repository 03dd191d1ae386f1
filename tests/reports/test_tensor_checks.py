"""What is found in the data when it is asked for: nothing in a good file, and each kind of damage where it was done."""

import pytest
import small_models
import torch
from lightquant.errors import CheckpointError
from lightquant.loaders.storage import headers
from lightquant.reports import codes, rows, tensor_checks
from lightquant.reports.tensor_checks import NOT_POSITIVE, Finding, check

LAYER = "blocks.1.ffn.0"
WEIGHT, SCALE = LAYER + ".weight", LAYER + ".weight_scale"


@pytest.fixture(params=["m.safetensors", "m.pth"])
def findings(request, tmp_path):
    """Saves tensors and gives what is found in them, from both kinds of file."""

    def find(tensors) -> set[tuple]:
        path = small_models.save(tensors, tmp_path / request.param)
        report = check(headers(str(path)))
        assert report.bytes == sum(tensor.nbytes for tensor in tensors.values())
        return {(each.tensor, each.what, each.count, each.first) for each in report.findings}

    return find


@pytest.fixture(params=["fp8-channel", "int8-channel"])
def good(request, floats):
    return small_models.quantized(floats["dit"], "dit", request.param)


def test_a_good_file_is_without_findings(good, findings):
    assert findings(good) == set()


def test_broken_scales(good, findings):
    good[SCALE][[2, 9]] = float("nan")
    good[SCALE][5] = float("inf")
    good[SCALE][[1, 7]] = torch.tensor([[0.0], [-1.0]])
    assert findings(good) == {(SCALE, codes.NAN, 2, (2, 9)), (SCALE, codes.INFINITE, 1, (5,)), (SCALE, NOT_POSITIVE, 2, (1, 7))}


def test_empty_saturated_and_narrow_rows(good, findings):
    limit = 127 if good[WEIGHT].dtype is torch.int8 else 448
    weight = good[WEIGHT].float()
    weight[4] = 0
    weight[6, :32] = -limit
    weight[8] = (weight[8] / 2.5).trunc()
    good[WEIGHT] = weight.to(good[WEIGHT].dtype)
    assert findings(good) == {(WEIGHT, codes.ZERO_ROWS, 1, (4,)), (WEIGHT, codes.SATURATED, 1, (6,)), (WEIGHT, codes.NARROW, 1, (8,))}


def test_codes_that_no_converter_writes(floats, findings):
    fp8 = small_models.quantized(floats["dit"], "dit", "fp8-channel")
    fp8[WEIGHT].view(torch.uint8)[3, :2] = torch.tensor([0x7F, 0xFF], dtype=torch.uint8)
    assert findings(fp8) == {(WEIGHT, codes.NAN, 2, ())}
    int8 = small_models.quantized(floats["dit"], "dit", "int8-channel")
    int8[WEIGHT][3, 5] = -128
    assert findings(int8) == {(WEIGHT, codes.LOWEST, 1, (3,))}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e5m2])
def test_float_tensors(floats, findings, dtype):
    tensors = dict(floats["dit"])
    weight, bias = tensors[WEIGHT].clone(), tensors["blocks.0.norm3.bias"].clone()
    weight[0] = 0
    weight[1, :3] = float("nan")
    weight[2, 0] = float("-inf")
    bias[4] = float("nan")
    tensors |= {WEIGHT: weight.to(dtype), "blocks.0.norm3.bias": bias.to(dtype)}
    expected = {(WEIGHT, codes.ZERO_ROWS, 1, (0,)), (WEIGHT, codes.NAN, 3, ()), (WEIGHT, codes.INFINITE, 1, ())}
    assert findings(tensors) == expected | {("blocks.0.norm3.bias", codes.NAN, 1, ())}


def test_a_row_that_shares_its_scale_need_not_use_all_codes(floats, findings):
    assert findings(small_models.comfyui_mode(floats["dit"], "dit")) == set()


def test_scale_ranges(good, tmp_path):
    report = check(headers(str(small_models.save(good, tmp_path / "m.safetensors"))))
    found = {each.layer: each for each in report.scales}
    assert len(found) == 20
    assert found[LAYER].role == "blocks.*.ffn.0"
    assert (found[LAYER].min, found[LAYER].median, found[LAYER].max) == tuple(float(f(good[SCALE])) for f in (torch.min, torch.median, torch.max))


def test_pieces_give_the_same_as_the_whole_and_bound_the_memory(good, tmp_path, monkeypatch):
    good[WEIGHT][[0, 300, 511]] = torch.zeros(3, 256).to(good[WEIGHT].dtype)
    path = str(small_models.save(good, tmp_path / "m.safetensors"))
    whole = check(headers(path))
    monkeypatch.setattr(tensor_checks, "_PIECE", 1000)
    sizes = []
    original = rows.RowReader.rows

    def watched(self, key, header):
        for piece in original(self, key, header):
            sizes.append(piece.nbytes)
            yield piece

    monkeypatch.setattr(rows.RowReader, "rows", watched)
    assert check(headers(path)) == whole
    assert whole.findings == (Finding(WEIGHT, codes.ZERO_ROWS, 3, 512, (0, 300, 511)),)
    longest_row = 4096 * 4
    assert max(sizes) <= longest_row


def test_progress_goes_from_nothing_to_all(good, tmp_path):
    path = str(small_models.save(good, tmp_path / "m.safetensors"))
    seen = []
    check(headers(path), lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1] == sum(header.nbytes for header in headers(path).values())


def test_a_progress_that_raises_stops_it(good, tmp_path):
    path = str(small_models.save(good, tmp_path / "m.safetensors"))

    def cancel(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        check(headers(path), cancel)


def test_a_file_that_shrinks_meanwhile_is_an_error(good, tmp_path):
    path = small_models.save(good, tmp_path / "m.safetensors")
    found = headers(str(path))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="the file changed"):
        check(found)
