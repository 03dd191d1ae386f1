"""LoRAs in every naming, merged as ComfyUI merges them where it knows the naming, and refused where they fit only in part."""

import float_models
import pytest
import torch
import wan_variants
from lightquant.convert import names
from lightquant.convert.lora import open_lora, parse_spec
from lightquant.errors import CheckpointError, ConvertError
from lightquant.loaders.files import opener
from safetensors.torch import load_file, save_file

RANK = 4

PAIRS = {
    "kohya, LightX2V": (".lora_up.weight", ".lora_down.weight"),
    "diffusers": ("_lora.up.weight", "_lora.down.weight"),
    "diffusers, dotted": (".lora.up.weight", ".lora.down.weight"),
    "PEFT": (".lora_B.weight", ".lora_A.weight"),
    "PEFT, named adapter": (".lora_B.default.weight", ".lora_A.default.weight"),
    "Mochi": (".lora_B", ".lora_A"),
    "transformers": (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
}

WRITTEN = {
    "ComfyUI": lambda layer: f"diffusion_model.{layer}",
    "kohya": lambda layer: "lora_unet_" + layer.replace(".", "_"),
    "Wan Fun": lambda layer: "lora_unet__" + layer.replace(".", "_"),
}
"""Before and in a layer's name, where ComfyUI knows it for Wan."""

WRITTEN_OTHERWISE = {
    "bare": str,
    "model": lambda layer: f"model.{layer}",
    "unet": lambda layer: f"unet.{layer}",
    "both prefixes": lambda layer: f"model.diffusion_model.{layer}",
    "PEFT": lambda layer: f"base_model.model.{layer}",
    "diffusers": lambda layer: f"transformer.{names.to_diffusers(layer)}",
    "diffusers, kohya": lambda layer: "lora_unet_" + names.to_diffusers(layer).replace(".", "_"),
    "OneTrainer": lambda layer: "lora_transformer_" + names.to_diffusers(layer).replace(".", "_"),
}

LAYERS = (
    "blocks.0.self_attn.q", "blocks.1.self_attn.o", "blocks.0.cross_attn.k_img", "blocks.1.ffn.0", "blocks.1.ffn.2", "img_emb.proj.3",
    "time_projection.1", "head.head",
)  # fmt: skip

open_file = opener(lambda path: (load_file(path), {}))


@pytest.fixture(scope="module")
def model():
    with torch.inference_mode():
        return wan_variants.tensors("2.1 I2V")


@pytest.fixture
def saved(tmp_path):
    """Writes a LoRA file and returns its path."""

    def save(tensors, name="lora.safetensors") -> str:
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, tmp_path / name)
        return str(tmp_path / name)

    return save


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape))) * 0.1


def lora(model, write=str, pair=PAIRS["kohya, LightX2V"], alpha=None, layers=LAYERS) -> dict[str, torch.Tensor]:
    """A LoRA of these layers, every one with numbers of its own."""
    tensors = {}
    for seed, layer in enumerate(layers):
        rows, columns = model[f"{layer}.weight"].shape
        tensors[write(layer) + pair[0]] = noise(rows, RANK, seed=seed)
        tensors[write(layer) + pair[1]] = noise(RANK, columns, seed=seed)
        if alpha is not None:
            tensors[f"{write(layer)}.alpha"] = torch.tensor(float(alpha + seed))
    return tensors


def merged(model, opened) -> dict[str, torch.Tensor]:
    changes = {key: opened.change(key, tuple(tensor.shape)) for key, tensor in model.items()}
    return {key: tensor if changes[key] is None else tensor + changes[key] for key, tensor in model.items()}


def merged_by_comfyui(model, tensors, strength) -> dict[str, torch.Tensor]:
    import comfy.sd

    # It adds in place, to the tensors that it was given.
    patcher = float_models.load_dit({key: tensor.clone() for key, tensor in model.items()})
    patched, _ = comfy.sd.load_lora_for_models(patcher, None, tensors, strength, 0.0)
    patched.patch_model(device_to=torch.device("cpu"))
    # Its loader passes over parameters beside submodules, such as a block's modulation; its merging itself knows them.
    for key in patched.patches.keys() - patched.backup.keys():
        patched.patch_weight_to_device(key)
    return {key: tensor.clone() for key, tensor in patched.model.diffusion_model.state_dict().items()}


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for key, tensor in expected.items():
        torch.testing.assert_close(found[key], tensor, rtol=1e-6, atol=1e-6 * float(tensor.abs().max()), msg=lambda text, key=key: f"{key}: {text}")


def assert_changed(found, model, layers):
    assert {key for key, tensor in found.items() if not torch.equal(tensor, model[key])} == {f"{layer}.weight" for layer in layers}


@pytest.mark.parametrize(("write", "pair"), [*((write, pair) for write in ("ComfyUI", "kohya") for pair in PAIRS), ("Wan Fun", next(iter(PAIRS)))])
def test_what_comfyui_knows_is_merged_as_comfyui_does(model, saved, write, pair):
    # ComfyUI tells Wan Fun's names by the cross attention's k, and knows them with this one pair.
    tensors = lora(model, WRITTEN[write], PAIRS[pair], alpha=2, layers=("blocks.0.cross_attn.k", *LAYERS))
    found = merged(model, open_lora(saved(tensors) + ":0.7", open_file))
    assert_changed(found, model, ("blocks.0.cross_attn.k", *LAYERS))
    assert_same(found, merged_by_comfyui(model, tensors, 0.7))


def test_differences_and_convolutions_are_merged_as_comfyui_does(model, saved):
    width, channels = model["patch_embedding.weight"].shape[:2]
    tensors = lora(model, WRITTEN["ComfyUI"], alpha=3) | {
        "diffusion_model.patch_embedding.lora_up.weight": noise(width, RANK, 1, 1, 1),
        "diffusion_model.patch_embedding.lora_down.weight": noise(RANK, channels, 1, 2, 2),
        "diffusion_model.blocks.0.norm3.diff": noise(width),
        "diffusion_model.blocks.0.norm3.diff_b": noise(width, seed=1),
        "diffusion_model.blocks.1.self_attn.q.diff_b": noise(width, seed=2),
        "diffusion_model.blocks.1.modulation.diff": noise(1, 6, width),
        "diffusion_model.blocks.1.cross_attn.norm_q.diff": noise(width, seed=3),
    }
    opened = open_lora(saved(tensors) + ":-1.5", open_file)
    assert opened.unmatched(model) == []
    assert_same(merged(model, opened), merged_by_comfyui(model, tensors, -1.5))


@pytest.mark.parametrize("pair", list(PAIRS))
@pytest.mark.parametrize("write", list(WRITTEN_OTHERWISE))
def test_every_other_naming_says_the_same(model, saved, pair, write):
    expected = merged(model, open_lora(saved(lora(model, alpha=2)), open_file))
    tensors = lora(model, WRITTEN_OTHERWISE[write], PAIRS[pair], alpha=2)
    opened = open_lora(saved(tensors, "other.safetensors"), open_file)
    assert opened.unmatched(model) == []
    assert_changed(expected, model, LAYERS)
    found = merged(model, opened)
    assert all(torch.equal(found[key], expected[key]) for key in expected)


def test_a_model_in_diffusers_names_is_changed_alike(model, saved):
    opened = open_lora(saved(lora(model, WRITTEN["ComfyUI"], alpha=2)), open_file)
    renamed = {names.to_diffusers(key): tensor for key, tensor in model.items()}
    found = merged(renamed, opened)
    assert opened.unmatched(renamed) == []
    assert all(torch.equal(found[names.to_diffusers(key)], tensor) for key, tensor in merged(model, opened).items())


def test_a_diff_m_changes_the_modulation_in_either_naming(model, saved):
    width = model["head.modulation"].shape[-1]
    tensors = {"diffusion_model.blocks.1.diff_m": noise(1, 6, width), "diffusion_model.head.diff_m": noise(1, 2, width)}
    opened = open_lora(saved(tensors) + ":0.5", open_file)
    assert opened.unmatched(model) == []
    for key in ("blocks.1.modulation", "blocks.1.scale_shift_table"):
        assert torch.equal(opened.change(key, (1, 6, width)), tensors["diffusion_model.blocks.1.diff_m"] * 0.5)
    assert torch.equal(opened.change("scale_shift_table", (1, 2, width)), tensors["diffusion_model.head.diff_m"] * 0.5)


def test_the_layers_that_loras_reach_in_encoders_are_found_too(floats, saved):
    for component, layer in (("t5", "blocks.1.attn.q"), ("clip", "visual.transformer.2.mlp.0")):
        opened = open_lora(saved(lora(floats[component], layers=(layer,)), f"{component}.safetensors"), open_file)
        assert_changed(merged(floats[component], opened), floats[component], (layer,))


LAYER = "blocks.0.self_attn.q"


def ratio(change: torch.Tensor, plain: torch.Tensor) -> float:
    return round(float((change * plain).sum() / plain.square().sum()), 5)


@pytest.mark.parametrize(
    ("spec", "own", "expected"),
    [
        ("", None, 1.0),
        (":0.5", None, 0.5),
        (":1:8", None, 8 / RANK),
        (":0.5:8", None, 4 / RANK),
        (":1:8", 2, 2 / RANK),
        ("", 2, 2 / RANK),
        ("", 0, 0.0),
    ],
)  # fmt: skip
def test_a_layers_own_alpha_wins_over_the_one_for_all(model, saved, spec, own, expected):
    tensors = lora(model, alpha=own, layers=(LAYER,))
    change = open_lora(saved(tensors) + spec, open_file).change(f"{LAYER}.weight", (256, 256))
    assert ratio(change, tensors[f"{LAYER}.lora_up.weight"] @ tensors[f"{LAYER}.lora_down.weight"]) == round(expected, 5)


def test_alpha_does_not_change_differences(model, saved):
    opened = open_lora(saved({"blocks.0.norm3.diff": noise(256)}) + ":1:8", open_file)
    assert torch.equal(opened.change("blocks.0.norm3.weight", (256,)), noise(256))


def test_a_pair_and_a_difference_of_one_layer_add_up(model, saved):
    tensors = lora(model, layers=(LAYER,)) | {f"{LAYER}.diff": noise(256, 256, seed=9)}
    change = open_lora(saved(tensors) + ":2", open_file).change(f"{LAYER}.weight", (256, 256))
    expected = 2 * (tensors[f"{LAYER}.lora_up.weight"] @ tensors[f"{LAYER}.lora_down.weight"] + tensors[f"{LAYER}.diff"])
    torch.testing.assert_close(change, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_everything_is_computed_in_fp32(model, saved, dtype):
    tensors = {key: tensor.to(dtype) for key, tensor in lora(model, layers=(LAYER,)).items()}
    change = open_lora(saved(tensors), open_file).change(f"{LAYER}.weight", (256, 256))
    assert change.dtype == torch.float32
    assert torch.equal(change, tensors[f"{LAYER}.lora_up.weight"].float() @ tensors[f"{LAYER}.lora_down.weight"].float())


def test_a_convolution_in_three_parts_is_what_the_three_convolutions_do(saved):
    up, mid, down = noise(6, 3, 1, 1, 1), noise(3, 2, 1, 2, 2), noise(2, 5, 1, 1, 1)
    tensors = {"patch_embedding.lora_up.weight": up, "patch_embedding.lora_mid.weight": mid, "patch_embedding.lora_down.weight": down}
    change = open_lora(saved(tensors), open_file).change("patch_embedding.weight", (6, 5, 1, 2, 2))
    image = noise(1, 5, 1, 4, 4)
    conv = torch.nn.functional.conv3d
    torch.testing.assert_close(conv(image, change), conv(conv(conv(image, down), mid), up))


def test_a_flattened_convolution_is_taken(saved):
    tensors = {"patch_embedding.lora_up.weight": noise(6, 2), "patch_embedding.lora_down.weight": noise(2, 20)}
    change = open_lora(saved(tensors), open_file).change("patch_embedding.weight", (6, 5, 1, 2, 2))
    assert torch.equal(change, (noise(6, 2) @ noise(2, 20)).reshape(6, 5, 1, 2, 2))


def test_a_tensor_that_the_lora_has_nothing_for_is_none(model, saved):
    opened = open_lora(saved(lora(model, layers=(LAYER,))), open_file)
    assert opened.change(f"{LAYER}.bias", (256,)) is None
    assert opened.change("blocks.0.self_attn.k.weight", (256, 256)) is None


def test_nothing_is_computed_before_it_is_asked_for(model, saved):
    tensors = lora(model)
    touched = []

    class Watched(dict):
        def __getitem__(self, key):
            touched.append(key)
            return super().__getitem__(key)

    opened = open_lora(saved(tensors), lambda path: (Watched(open_file(path)[0]), {}))
    assert opened.unmatched(model) == []
    assert touched == []
    opened.change(f"{LAYER}.weight", (256, 256))
    assert set(touched) == {f"{LAYER}.lora_up.weight", f"{LAYER}.lora_down.weight"}


def test_the_file_is_left_as_it_was(model, saved):
    tensors = lora(model, layers=(LAYER,)) | {f"{LAYER}.diff": noise(256, 256), "blocks.0.norm3.diff": noise(256)}
    opened = open_lora(saved(tensors) + ":0.5", open_file)
    merged(model, opened)
    assert all(torch.equal(opened.tensors[key], tensor) for key, tensor in tensors.items())


def test_keys_that_fit_no_tensor_are_listed(saved):
    text_to_video = wan_variants.tensors("2.1 T2V, 2.2 T2V A14B")
    tensors = lora(wan_variants.tensors("2.1 I2V"), WRITTEN["ComfyUI"], alpha=1) | {
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": noise(2, 2),
        "lora_te_text_model_encoder_layers_0_mlp_fc1.lora_down.weight": noise(2, 2),
        "diffusion_model.blocks.0.cross_attn.norm_q.diff_b": noise(256),
        "something else": noise(1),
    }
    unmatched = open_lora(saved(tensors), open_file).unmatched(text_to_video)
    suffixes = ("alpha", "lora_down.weight", "lora_up.weight")
    expected = [f"diffusion_model.{layer}.{suffix}" for layer in ("blocks.0.cross_attn.k_img", "img_emb.proj.3") for suffix in suffixes]
    assert unmatched == sorted([*expected, *list(tensors)[-4:]])


def message(kind, what, *arguments) -> str:
    with pytest.raises(kind) as caught:
        what(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def shapes(model) -> dict[str, tuple[int, ...]]:
    return {key: tuple(tensor.shape) for key, tensor in model.items()}


def test_a_lora_for_another_width_is_refused_with_both_shapes(model, saved):
    opened = open_lora(saved(lora(model, layers=(LAYER,))), open_file)
    text = message(ConvertError, opened.change, f"{LAYER}.weight", (1536, 1536))
    assert "another model" in text
    assert f"up 256 x {RANK} and down {RANK} x 256" in text
    assert "1536 x 1536" in text
    assert text == message(ConvertError, opened.check, {f"{LAYER}.weight": (1536, 1536)}, "it")


@pytest.mark.parametrize("shape", [(256, 256, 1, 1, 1), (256,), (256, 128), (65536,), (128, 512)])
def test_only_the_shape_of_the_product_is_taken(model, saved, shape):
    opened = open_lora(saved(lora(model, layers=(LAYER,))), open_file)
    if shape == (256, 256, 1, 1, 1):
        assert opened.change(f"{LAYER}.weight", shape).shape == shape
    else:
        assert "another model" in message(ConvertError, opened.change, f"{LAYER}.weight", shape)


def test_a_kernel_of_another_form_is_refused(saved):
    tensors = {"patch_embedding.lora_up.weight": noise(6, 2, 1, 1, 1), "patch_embedding.lora_down.weight": noise(2, 10, 1, 1, 2)}
    opened = open_lora(saved(tensors), open_file)
    assert "2 x 10 x 1 x 1 x 2" in message(ConvertError, opened.change, "patch_embedding.weight", (6, 5, 1, 2, 2))


def test_a_kernel_in_the_up_matrix_is_refused(saved):
    tensors = {"patch_embedding.lora_up.weight": noise(6, 2, 1, 2, 2), "patch_embedding.lora_down.weight": noise(2, 5, 1, 2, 2)}
    opened = open_lora(saved(tensors), open_file)
    assert "up 6 x 2 x 1 x 2 x 2" in message(ConvertError, opened.change, "patch_embedding.weight", (6, 5, 1, 2, 2))


def test_a_difference_is_not_spread_over_a_larger_tensor(saved):
    opened = open_lora(saved({"blocks.0.norm3.diff": noise(1)}), open_file)
    assert "a difference of 1, and the tensor is 256" in message(ConvertError, opened.change, "blocks.0.norm3.weight", (256,))


def test_ranks_that_differ_are_refused(saved):
    opened = open_lora(saved({f"{LAYER}.lora_up.weight": noise(256, 4), f"{LAYER}.lora_down.weight": noise(8, 256)}), open_file)
    assert "up 256 x 4 and down 8 x 256" in message(ConvertError, opened.change, f"{LAYER}.weight", (256, 256))


def test_matrices_without_two_dimensions_are_refused(saved):
    opened = open_lora(saved({f"{LAYER}.lora_up.weight": noise(256), f"{LAYER}.lora_down.weight": torch.tensor(1.0)}), open_file)
    assert "down one number" in message(ConvertError, opened.change, f"{LAYER}.weight", (256, 256))


def test_a_lora_of_another_family_is_refused(model, saved):
    tensors = {"transformer_blocks.0.attn.to_q.lora_A.weight": noise(4, 64), "transformer_blocks.0.attn.to_q.lora_B.weight": noise(64, 4)}
    opened = open_lora(saved(tensors), open_file)
    text = message(ConvertError, opened.check, shapes(model), "it")
    assert "none of its 2 tensors (such as transformer_blocks.0.attn.to_q.lora_A.weight)" in text
    opened = open_lora(saved(lora(model)), open_file)
    opened.check(shapes(model), "it")


@pytest.mark.parametrize(("there", "absent"), [("lora_up", "down"), ("lora_down", "up"), ("lora_mid", "up")])
def test_half_a_pair_is_refused(saved, there, absent):
    path = saved({f"{LAYER}.{there}.weight": noise(256, 4), "blocks.0.norm3.diff": noise(256)})
    text = message(CheckpointError, open_lora, path, open_file)
    assert path in text
    assert f"{LAYER}.{there}.weight without the {absent} matrix" in text


def test_a_layer_that_is_there_twice_is_refused(model, saved):
    twice = lora(model, layers=(LAYER,)) | lora(model, WRITTEN["ComfyUI"], PAIRS["PEFT"], layers=(LAYER,))
    assert "for the same layer" in message(CheckpointError, open_lora, saved(twice), open_file)
    both = lora(model, layers=(LAYER,)) | lora(model, WRITTEN_OTHERWISE["diffusers"], layers=(LAYER,))
    opened = open_lora(saved(both), open_file)
    assert "in Wan's names and in diffusers'" in message(CheckpointError, opened.change, f"{LAYER}.weight", (256, 256))


@pytest.mark.parametrize(("end", "kind"), [(".dora_scale", "DoRA"), (".hada_w1_a", "LoHa"), (".lokr_w1", "LoKr"), (".set_weight", "replacement")])
def test_other_kinds_of_changes_are_refused_by_their_name(model, saved, end, kind):
    path = saved(lora(model, layers=(LAYER,)) | {LAYER + end: noise(256, 1)})
    text = message(CheckpointError, open_lora, path, open_file)
    assert path in text
    assert kind in text


def test_a_model_is_no_lora(model, saved):
    text = message(CheckpointError, open_lora, saved(model), open_file)
    assert "blocks.0.cross_attn.k.bias" in text
    assert "Pick a LoRA" in text


def test_codes_and_lists_where_numbers_are_needed_are_damage(model, saved):
    tensors = lora(model, alpha=1, layers=(LAYER,))
    integers = tensors | {f"{LAYER}.lora_up.weight": torch.ones(256, 4, dtype=torch.int8)}
    opened = open_lora(saved(integers), open_file)
    assert "torch.int8" in message(CheckpointError, opened.change, f"{LAYER}.weight", (256, 256))
    opened = open_lora(saved(tensors | {f"{LAYER}.alpha": torch.ones(3)}), open_file)
    assert "is 3, where one number is expected" in message(CheckpointError, opened.change, f"{LAYER}.weight", (256, 256))


def test_a_file_that_is_cut_off_or_absent_is_named(model, saved, tmp_path):
    path = saved(lora(model))
    content = (tmp_path / "lora.safetensors").read_bytes()
    (tmp_path / "lora.safetensors").write_bytes(content[: len(content) // 2])
    assert path in message(CheckpointError, open_lora, path, open_file)
    assert "no such file" in message(CheckpointError, open_lora, str(tmp_path / "absent.safetensors"), open_file)


def test_a_pth_is_read_too(model, tmp_path):
    torch.save(lora(model, layers=(LAYER,)), tmp_path / "lora.pth")
    assert open_lora(f"{tmp_path / 'lora.pth'}:0.5", open_file).change(f"{LAYER}.weight", (256, 256)) is not None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lora.safetensors", ("lora.safetensors", 1.0, None)),
        ("lora.safetensors:0.8", ("lora.safetensors", 0.8, None)),
        ("lora.safetensors:-1:16", ("lora.safetensors", -1.0, 16.0)),
        ("C:\\loras\\wan.safetensors", ("C:\\loras\\wan.safetensors", 1.0, None)),
        ("C:\\loras\\wan.safetensors:0.8", ("C:\\loras\\wan.safetensors", 0.8, None)),
        ("d:/loras/wan.SAFETENSORS:0.8:4", ("d:/loras/wan.SAFETENSORS", 0.8, 4.0)),
        ("a:1/b.safetensors:2", ("a:1/b.safetensors", 2.0, None)),
        ("v1.pt/wan.pth:.5", ("v1.pt/wan.pth", 0.5, None)),
        ("a.safetensors:1/b.safetensors:2", ("a.safetensors:1/b.safetensors", 2.0, None)),
    ],
)
def test_a_spec_is_a_path_and_two_numbers(text, expected):
    assert parse_spec(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":1", "lora", "lora:1", "x.safetensors:", "x.safetensors:a", "x.safetensors::4", "x.pt:1:2:3", "x.pt:nan", "x.pt:inf"]
)
def test_a_spec_that_cannot_be_read_is_refused_with_an_example(text):
    assert "lora.safetensors:0.8:16" in message(ConvertError, parse_spec, text)


def test_a_lora_without_a_rank_or_with_nan_is_called_damaged_itself(model, saved):
    tensors = lora(model, layers=(LAYER,))
    down, up = (next(key for key in tensors if end in key) for end in ("down", "up"))
    none = {**tensors, down: tensors[down][:0].clone(), up: tensors[up][:, :0].clone()}
    opened = open_lora(saved(none), open_file)
    with pytest.raises(CheckpointError, match=r"lora_down.weight is 0 x 256, where a rank of at least 1 is expected. The file is damaged"):
        opened.check({f"{LAYER}.weight": (256, 256)}, "model")
    tensors[up][0, 0] = float("nan")
    with pytest.raises(CheckpointError, match=rf"lora.safetensors: what it adds to {LAYER}.weight is NaN or infinite. The file is damaged"):
        open_lora(saved(tensors), open_file).change(f"{LAYER}.weight", (256, 256))
