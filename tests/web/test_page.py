"""The pack's part of ComfyUI's page, as far as every release of ComfyUI has it."""

from demo_graphs import quantized_loader


def test_the_page_opens_and_shows_the_nodes(window):
    window.load({"1": quantized_loader("dit", "wan2.1_t2v_small_fp8.safetensors", "fp8-torch")})
    (node,) = window.saved()["nodes"]
    assert (node["type"], node["widgets_values"][:2]) == ("LightQuantLoadDiT", ["fp8-torch", "wan2.1_t2v_small_fp8.safetensors"])
    assert window.problems(("error", "warning")) == []
