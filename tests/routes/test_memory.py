"""/lightquant/memory: the card, and the quantized models on it."""

import comfy.model_management
import nodes
import pipeline


def test_it_lists_the_quantized_models_that_comfyui_holds(models, ask):
    status, empty = ask("GET", "memory")
    assert (status, empty["models"]) == (200, [])
    assert 0 < empty["free"] <= empty["total"]
    assert empty["device"]
    int8, fp8 = (pipeline.load_dit(f"wan_t2v_{tag}.safetensors") for tag in ("int8", "fp8"))
    float_model = nodes.UNETLoader().load_unet("wan_t2v.safetensors", "default")[0]
    clone = int8.clone()
    comfy.model_management.load_models_gpu([int8, float_model])
    comfy.model_management.load_models_gpu([clone])
    (row,) = ask("GET", "memory")[1]["models"]
    assert (row["title"], row["component"], row["format"]) == ("wan_t2v_int8.safetensors", "dit", "int8-channel")
    on_a_card = int8.load_device.type != "cpu"
    assert row["bytes"] > 0
    assert (row["in_vram"] > 0) == on_a_card
    comfy.model_management.load_models_gpu([fp8])
    assert "wan_t2v_fp8.safetensors" in {row["title"] for row in ask("GET", "memory")[1]["models"]}
    comfy.model_management.unload_all_models()
    assert ask("GET", "memory")[1]["models"] == []
