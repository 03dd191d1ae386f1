"""Answers hold together: more room never makes them worse, what is said to help does, and what is not measured is said."""

import dataclasses
import itertools
import json

import pytest
from lightquant.errors import FitError
from lightquant.offload.settings import Settings
from lightquant.reports.fit import Wish, answer, fit
from lightquant.reports.fit.answer import ALIKE, AT_480P, FROM_PARTS, MEASURED_STEP, NOT_MEASURED, NOT_MOVED, OTHER_CARD
from lightquant.reports.fit.cards import CARDS, card_of, card_of_device
from lightquant.reports.fit.measured import measured
from lightquant.reports.fit.models import MODELS
from lightquant.reports.fit.ways import WAYS
from lightquant.schemes import SCHEMES

NODE = {
    "granularity": "granularity", "vram": "vram_gib", "keep": "keep", "pinned_limit": "pinned_gib", "from_disk": "from_disk",
    "chunk_rows": "chunk_rows",
}  # fmt: skip
"""Input of Offload Model -> field of Settings."""


def steps(found) -> dict[tuple[str, str], float]:
    return {(option.scheme, option.way): option.step_s for option in found.options}


def no_worse(less, more) -> None:
    before, after = steps(less), steps(more)
    assert before.keys() <= after.keys()
    assert all(after[each] <= before[each] * (1 + 1e-9) for each in before)


@pytest.mark.parametrize("gpu", [None, "RTX 2060", "RTX 4060", "RTX 5090"])
@pytest.mark.parametrize("model", ["wan2.1-t2v-14b", "wan2.2-i2v-a14b", "wan2.2-ti2v-5b"])
def test_more_vram_is_never_worse(model, gpu):
    found = [fit(Wish(vram / 4, 12, model=model, gpu=gpu)) for vram in range(4, 140, 3)]
    assert not found[0].fits
    assert found[-1].fits
    for less, more in itertools.pairwise(found):
        no_worse(less, more)


def test_more_ram_is_never_worse():
    found = [fit(Wish(6, ram / 2, gpu="RTX 4090", disk_gb_s=0.1)) for ram in range(8, 80)]
    assert not found[0].fits
    assert steps(found[-1])["fp8-sgl", "blocks"] < steps(fit(Wish(6, 10, gpu="RTX 4090", disk_gb_s=0.1)))["fp8-sgl", "blocks"]
    for less, more in itertools.pairwise(found):
        no_worse(less, more)


def test_nothing_takes_more_than_there_is():
    for vram in (4, 6, 8, 12, 16, 24, 80):
        for option in fit(Wish(vram, 16)).options:
            assert option.vram_least_gib <= option.vram_gib + 1e-9
            assert option.vram_gib <= vram - 0.8 + 1e-9
            assert 0 <= option.from_file_gib <= option.streamed_gib + 1e-9
            assert option.step_s >= option.compute_s > 0


def test_the_measured_card_with_all_its_memory_gives_the_measured_figures():
    for scheme, row in measured().steps.items():
        option = next(option for option in fit(Wish(141, 64, scheme=scheme)).options if option.way == "resident")
        assert option.step_s == pytest.approx(row["step_s"])
        assert option.vram_gib == pytest.approx(row["peak_gib"], abs=0.2)
        assert option.error == pytest.approx(row["error"])
        assert (option.speed, option.offload, option.node, option.dynamic) == (MEASURED_STEP, NOT_MOVED, None, None)


def test_the_noted_runs_under_dynamic_vram_are_foretold():
    for row in measured().noted["paged"]:
        option = next(o for o in fit(Wish(row["free_gib"], 64, scheme="fp8-torch", reserve_gib=0)).options if o.way == "dynamic")
        assert option.step_s == pytest.approx(row["step_s"], rel=0.05)
        assert option.vram_gib == pytest.approx(row["used_gib"], abs=0.4)
        assert option.offload == AT_480P


def test_fast_ones_come_first_and_of_alike_ones_the_exact():
    found = fit(Wish(24, 64)).options
    for earlier, later in itertools.pairwise(found):
        assert later.step_s * ALIKE >= earlier.step_s
        if later.step_s < earlier.step_s:
            assert later.weight_error >= earlier.weight_error
    assert min(option.step_s for option in found) * ALIKE >= found[0].step_s


def test_what_is_estimated_is_said():
    known = {option.scheme: option for option in fit(Wish(24, 64)).best}
    assert known["fp8-torch"].speed == MEASURED_STEP
    assert known["fp8-vllm"].speed == FROM_PARTS
    other = fit(Wish(24, 64, gpu="RTX 4090"))
    assert {option.speed for option in other.options} == {OTHER_CARD}
    assert "RTX 4090 every time is estimated, not measured" in other.text()
    assert {option.offload for option in fit(Wish(6, 32)).options if option.way == "blocks"} <= {NOT_MEASURED, AT_480P}
    assert "every time is estimated" not in fit(Wish(24, 64)).text()


def test_a_measured_way_of_offloading_takes_the_place_of_the_assumption(monkeypatch):
    found = {"fp8 blocks, pinned": {"added_s": 0.5, "peak_gib": 4.4, "host_peak_gib": 15.0}}
    known = dataclasses.replace(measured(), offload=found)
    for module in ("answer", "notes"):
        monkeypatch.setattr(f"lightquant.reports.fit.{module}.measured", lambda: known)
    got = fit(Wish(6, 64))
    option = next(each for each in got.options if (each.scheme, each.way) == ("fp8-torch", "blocks"))
    assert option.step_s == pytest.approx(0.5 + option.compute_s)
    assert option.offload == AT_480P
    assert option.waits
    assert "has not been measured on a GPU" not in got.text()


def test_the_nodes_inputs_are_settings_that_it_takes():
    seen = set()
    for vram, ram in ((4, 8), (4, 12), (6, 16), (8, 32), (24, 64)):
        for option in fit(Wish(vram, ram)).options:
            if option.node is not None:
                settings = Settings(**{NODE[name]: value for name, value in option.node.items()})
                seen |= option.node.keys()
                if option.dynamic is False:
                    assert settings.vram_gib <= vram - 0.8
                else:
                    assert settings.keep == 1
    assert seen == set(NODE)


@pytest.mark.parametrize("wish", [Wish(2.5, 16), Wish(5, 16, width=1280, height=720), Wish(4, 64, frames=161, model="wan2.1-i2v-14b")])
def test_where_nothing_fits_what_is_said_to_help_helps(wish):
    found = fit(wish)
    assert not found.fits
    assert found.options == ()
    least = found.least
    assert least.vram_gib > wish.vram
    assert fit(dataclasses.replace(wish, vram_gib=least.vram_gib + 0.01)).fits
    assert not fit(dataclasses.replace(wish, vram_gib=least.vram_gib - 0.01)).fits
    assert least.frames
    assert fit(dataclasses.replace(wish, frames=least.frames)).fits
    assert not fit(dataclasses.replace(wish, frames=least.frames + 4)).fits
    assert fit(dataclasses.replace(wish, width=least.width, height=least.height)).fits
    assert f"The least VRAM that would do: {least.vram_gib:.1f} GiB" in found.text()


def test_too_little_ram_is_said_with_what_would_do():
    wish = Wish(24, 6)
    found = fit(wish)
    assert not found.fits
    assert fit(dataclasses.replace(wish, ram_gib=found.least.ram_gib + 0.01)).fits
    assert not fit(dataclasses.replace(wish, ram_gib=found.least.ram_gib - 0.01)).fits
    assert "The least RAM that would do" in found.text()
    assert "The least VRAM" not in found.text()


def test_the_encoder_is_the_most_exact_that_fits_beside_the_model():
    roomy, tight, tighter = (fit(Wish(24, ram)).before[0] for ram in (64, 16, 8))
    assert (roomy.format, roomy.beside, roomy.fits) == ("bf16", True, True)
    assert (tight.format, tight.beside, tight.fits) == ("int8-channel", False, True)
    assert (tighter.format, tighter.fits) == ("int4-g128", True)
    assert [each.component for each in fit(Wish(24, 64, model="wan2.1-i2v-14b")).before] == ["t5", "clip"]


def test_two_experts_share_the_ram():
    one, two = (fit(Wish(6, 24, model=f"wan{name}", scheme="fp8-torch")) for name in ("2.1-t2v-14b", "2.2-t2v-a14b"))
    assert one.options[0].from_file_gib == 0
    assert two.options[0].from_file_gib > 0
    assert "2 experts that take turns" in two.text()


def test_a_scheme_that_a_card_has_no_kernel_for_is_out_of_question():
    found = fit(Wish(None, 32, gpu="RTX 3090", scheme="fp8-vllm"))
    assert not found.fits
    assert found.unable == {"fp8-vllm": "no kernel for RTX 3090"}
    assert "no kernel for RTX 3090" in found.text()
    whole = fit(Wish(None, 32, gpu="RTX 3090"))
    assert "fp8-vllm" not in {option.scheme for option in whole.options}
    assert {option.scheme for option in whole.options} | set(whole.unable) == {"bf16", *SCHEMES}


def test_it_is_plain_for_json():
    for wish in (Wish(8, 16), Wish(2, 4), Wish(None, 32, gpu="4090", model="wan2.1-i2v-14b")):
        found = fit(wish).as_dict()
        plain = json.loads(json.dumps(found, allow_nan=False))
        assert plain["wish"]["vram_gib"] == wish.vram
        assert plain["wish"]["gpu"] in CARDS
        assert plain["text"] == fit(wish).text()
        assert plain["fits"] is bool(plain["options"])
        assert {way["way"] for way in plain["options"]} <= {way.name for way in WAYS}


@pytest.mark.parametrize("name", ["RTX 4090", "rtx4090", "NVIDIA GeForce RTX 4090", "4090"])
def test_a_card_goes_by_its_usual_names(name):
    assert card_of(name).name == "RTX 4090"


@pytest.mark.parametrize(
    ("name", "card"),
    [
        ("NVIDIA GeForce RTX 4090", "RTX 4090"), ("NVIDIA H100 80GB HBM3", "H100"), ("NVIDIA A100-SXM4-80GB", "A100"), ("NVIDIA H200", "H200"),
        ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA GeForce RTX 4070 SUPER", None), ("NVIDIA H100 PCIe", None), ("", None),
    ],
)  # fmt: skip
def test_a_machines_card_is_known_by_its_drivers_name_and_no_other_is_taken_for_it(name, card):
    found = card_of_device(name)
    assert (found and found.name) == card


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"vram_gib": 0}, "The VRAM is given as 0"), ({"vram_gib": float("nan")}, "The VRAM is given as nan"),
        ({"vram_gib": None}, "Neither the VRAM"),
        ({"ram_gib": -1}, "The RAM is given as -1"), ({"ram_gib": float("inf")}, "The RAM is given as inf"),
        ({"frames": 80}, "take 77 or 81"), ({"frames": 0}, "take 1 or 5"), ({"frames": -3}, "take 1 or 5"),
        ({"width": 830}, "The width is 830, where Wan2.1 T2V 14B needs a multiple of 16: take 816 or 832"), ({"height": 0}, "The height is 0"),
        ({"height": 720, "width": 1280, "model": "wan2.2-ti2v-5b"}, "needs a multiple of 32: take 704 or 736"),
        ({"model": "wan3"}, "There is no model wan3"), ({"scheme": "fp8"}, "There is no scheme fp8"),
        ({"gpu": "Voodoo 2"}, "has no 'Voodoo 2'"), ({"gpu": ""}, "has no ''"), ({"disk_gb_s": 0}, "disk's speed"),
        ({"reserve_gib": -1}, "reserved VRAM"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(wrong, said):
    with pytest.raises(FitError) as caught:
        Wish(**{"vram_gib": 8, "ram_gib": 16, **wrong})
    assert said in str(caught.value)


def test_every_model_can_be_asked_about():
    for model in MODELS.values():
        found = fit(Wish(141, 128, model=model.name, width=1280, height=704))
        assert found.fits
        assert found.tokens == model.tokens(1280, 704, 81)
    assert answer.fit(Wish(8, 16)).tokens == 32760
