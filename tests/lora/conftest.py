import pipeline
import pytest
import small_models
import torch

FORMATS = ("fp8-channel", "int8-channel", "int4-g128", "fp8-b128")


@pytest.fixture(scope="module")
def stored(floats, tmp_path_factory):
    """The small DiT in every format: loads a new MODEL by its format's name."""
    import folder_paths

    root = tmp_path_factory.mktemp("stored")
    with torch.inference_mode():
        for name in FORMATS:
            small_models.save(small_models.quantized(floats["dit"], "dit", name), root / f"lora_{name}.safetensors")
    folder_paths.add_model_folder_path("diffusion_models", str(root), is_default=True)
    yield lambda name, **inputs: pipeline.load_dit(f"lora_{name}.safetensors", **inputs)
    folder_paths.folder_names_and_paths["diffusion_models"][0].remove(str(root))


@pytest.fixture
def folder(tmp_path, add_folder):
    """A folder of this test's own for LoRAs."""
    add_folder("loras", tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def predict():
    """The first prediction of a MODEL, on the CPU."""

    def predict(model) -> torch.Tensor:
        return pipeline.sample(model, pipeline.conditioning(1), pipeline.conditioning(2), steps=1, cfg=1.0).cpu()

    return predict


@pytest.fixture(scope="session")
def added():
    """A MODEL with LoRAs on it, each (path, strength), one node after the other."""

    from lightquant.lora.apply import add_lora

    def added(model, *loras, mode: str = "beside"):
        for path, strength in loras:
            model = add_lora(model, path, strength, mode).model
        return model

    return added
