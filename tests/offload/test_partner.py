import pipeline
import pytest
import torch
from lightquant.bridge import memory
from lightquant.offload import partner
from offloading import offloaded, sample


@pytest.fixture
def reads(monkeypatch):
    """The paths that are read ahead."""
    begun = []

    class Recorded(partner.ReadAhead):
        def start(self):
            begun.append((self._paths, len(steps)))
            super().start()

    steps: list[int] = []
    monkeypatch.setattr(partner, "ReadAhead", Recorded)
    begun_at = lambda model: model.add_wrapper_with_key("diffusion_model", "count", lambda run, *a, **k: (steps.append(1), run(*a, **k))[1])  # noqa: E731
    return begun, begun_at


def test_the_second_experts_file_is_read_while_the_firsts_last_step_computes(models, reads):
    begun, count = reads
    first, second = (pipeline.load_dit(f"wan_t2v_{tag}.safetensors") for tag in ("fp8", "int8"))
    path = str(models / "diffusion_models" / "wan_t2v_int8.safetensors")
    partner.make_pair(first, second, [path])
    clone = offloaded(first)
    count(clone)
    for runs in (1, 2):
        sample(clone, steps=3, cfg=1.0)
        assert len(begun) == runs
    assert begun[0] == ((path,), 2)
    sample(second)
    assert len(begun) == 2


def test_an_offloaded_expert_leaves_the_device_at_its_runs_end(models):
    first, second = (pipeline.load_dit(f"wan_t2v_{tag}.safetensors") for tag in ("fp8", "int8"))
    plain = sample(first)
    partner.make_pair(first, second, [])
    clone = offloaded(first, keep=0.5)
    assert torch.equal(sample(clone), plain)
    assert clone.loaded_size() == 0
    assert torch.equal(sample(clone), plain)
    other = offloaded(second, keep=0.5)
    sample(other)
    assert other.loaded_size() == 0


def test_everything_is_read_once_and_nothing_kept(tmp_path):
    sizes = (3, partner.PIECE, partner.PIECE + 5)
    paths = [tmp_path / str(size) for size in sizes]
    for path, size in zip(paths, sizes, strict=True):
        path.write_bytes(bytes(size))
    reading = partner.ReadAhead([str(path) for path in paths])
    for _ in range(2):
        reading.start()
    reading.wait()
    assert reading.read_bytes == sum(sizes)


def test_no_more_is_read_than_fits_into_free_memory(tmp_path, monkeypatch):
    path = tmp_path / "large"
    path.write_bytes(bytes(4 * partner.PIECE))
    monkeypatch.setattr(memory, "free_host_bytes", lambda: 2 * partner.PIECE + 1)
    reading = partner.ReadAhead([str(path)])
    reading.start()
    reading.wait()
    assert reading.read_bytes == 2 * partner.PIECE


def test_a_file_that_is_gone_stops_nothing(tmp_path):
    there = tmp_path / "there"
    there.write_bytes(bytes(9))
    reading = partner.ReadAhead([str(tmp_path / "gone"), str(there)])
    reading.start()
    reading.wait()
    assert reading.read_bytes == 9


def test_it_can_be_stopped(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(9))
    reading = partner.ReadAhead([str(path)])
    reading.stop()
    reading.start()
    reading.wait()
    assert reading.read_bytes == 0
