import pytest

FILE = "wan_t2v_fp8.safetensors"


@pytest.fixture(autouse=True)
def own_streaming(request):
    """What is held here are the streams, which ComfyUI's dynamic VRAM makes needless."""
    if request.config.getoption("--dynamic-vram"):
        pytest.skip("the node adds nothing to dynamic VRAM")


@pytest.fixture
def model(models):
    """A quantized DiT of two blocks."""
    import pipeline

    return pipeline.load_dit(FILE)


@pytest.fixture(params=["thread", "at once", "at last"])
def lane(request, monkeypatch):
    """Streams copy in a lane that shows wrong order."""
    from lightquant.offload import streaming
    from offloading import LANES

    monkeypatch.setattr(streaming, "lane_for", LANES[request.param])


@pytest.fixture
def pins(monkeypatch):
    """Memory can be pinned, though there is no GPU; the list of what is pinned now."""
    from lightquant.bridge import memory

    pinned = []

    def pin(tensor) -> bool:
        pinned.append(tensor.data_ptr())
        return True

    monkeypatch.setattr(memory, "pin", pin)
    monkeypatch.setattr(memory, "unpin", lambda tensor: pinned.remove(tensor.data_ptr()))
    return pinned


@pytest.fixture
def plain(model):
    """The latents of the model as ComfyUI runs it."""
    from offloading import sample

    return sample(model)
