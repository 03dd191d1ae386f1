"""Float weights, renamed, reproduce the float model: written out plainly, and through ComfyUI's own classes."""

import float_models
import torch
import wan_reference
from checks import cosine
from lightquant.bridge.build import build_clip, build_t5
from lightquant.kernels.reference import relative_error
from lightquant.loaders import Checkpoint, clip_keys, t5_keys

# Where ComfyUI computes on a GPU, cuDNN's convolutions use TF32 and attention another order of sums than the plain version on the CPU.
TOLERANCE = 1e-5 if not torch.cuda.is_available() else 1e-3

PROMPT = "a cat walks over the sunny roof"


def encode(clip) -> torch.Tensor:
    return clip.encode_from_tokens(clip.tokenize(PROMPT))


def test_t5_reproduces_the_written_out_encoder(floats, spiece, models):
    checkpoint = Checkpoint(str(models / "text_encoders" / "t5.pth"), "t5", {}, t5_keys.rename(floats["t5"]), {})
    built = build_t5(checkpoint, {}, torch.float32, None, disable_dynamic=True)
    tokens = torch.tensor([token for token, _ in built.model.tokenize(PROMPT)["umt5xxl"][0]])
    mask = (torch.arange(len(tokens)) <= (tokens == 1).nonzero()[0]).long()
    expected = wan_reference.t5(floats["t5"], tokens, mask) * mask[:, None]
    given = encode(built.model)[0]
    assert given.shape == expected.shape == (512, 4096)
    assert relative_error(given.cpu(), expected) < TOLERANCE
    stock = encode(float_models.load_t5(floats["t5"], spiece))[0]
    assert relative_error(given.cpu(), stock.cpu()) < TOLERANCE


def test_clip_vision_reproduces_the_written_out_encoder(floats):
    import comfy.clip_vision

    checkpoint = Checkpoint("clip.pth", "clip", {}, clip_keys.rename(floats["clip"]), {})
    model = build_clip(checkpoint, {}, torch.float32, None, disable_dynamic=True).model
    images = torch.rand(2, 64, 96, 3, generator=torch.Generator().manual_seed(0))
    given = model.encode_image(images, crop=False)
    pixels = comfy.clip_vision.clip_preprocess(images, size=224, mean=model.image_mean, std=model.image_std, crop=False).float()
    assert relative_error(given.penultimate_hidden_states.cpu(), wan_reference.clip(floats["clip"], pixels.cpu())) < TOLERANCE
    stock = float_models.load_clip(floats["clip"]).encode_image(images, crop=False)
    for name in ("penultimate_hidden_states", "image_embeds", "last_hidden_state"):
        assert relative_error(given[name].cpu(), stock[name].cpu()) < TOLERANCE


def test_swapped_branches_would_show(floats, spiece, models):
    """The same comparison notices T5's two gate branches, and q and k, in each other's places."""
    stock = encode(float_models.load_t5(floats["t5"], spiece))[0].cpu()
    for one, other in ((".ffn.gate.0.", ".ffn.fc1."), (".attn.q.", ".attn.k.")):
        swapped = {(key.replace(one, other) if one in key else key.replace(other, one)): tensor for key, tensor in floats["t5"].items()}
        checkpoint = Checkpoint(str(models / "text_encoders" / "t5.pth"), "t5", {}, t5_keys.rename(swapped), {})
        given = encode(build_t5(checkpoint, {}, torch.float32, None, disable_dynamic=True).model)[0].cpu()
        assert relative_error(given, stock) > 0.01
        assert cosine(given, stock) < 0.9999
