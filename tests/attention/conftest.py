import pipeline
import pytest


@pytest.fixture
def kernel():
    """A kernel of a test's own."""
    from recording import Recording

    return Recording(takes_mask=True)


@pytest.fixture
def model(models):
    """A quantized DiT of two blocks."""
    return pipeline.load_dit("wan_t2v_fp8.safetensors")


@pytest.fixture
def recorded(monkeypatch):
    """A kernel that stands for `sdpa-flash` and is `auto`'s choice."""
    from recording import stand_in

    return stand_in(monkeypatch)
