"""What is calculated is what was measured, within the tolerances that stand here."""

import dataclasses
import json

import pytest
from lightquant.kernels import VARIANTS, devices
from lightquant.kernels.foreign.kernel import ForeignKernel
from lightquant.reports.fit import speed
from lightquant.reports.fit.cards import CARDS, MEASURED
from lightquant.reports.fit.measured import measured
from lightquant.reports.fit.memory import CHUNK_ROWS, activations, spare
from lightquant.reports.fit.models import MODELS
from lightquant.reports.fit.runs_on import ASKABLE, runs_on
from lightquant.reports.fit.sizes import FLOAT, GIB, sizes
from lightquant.schemes import SCHEMES
from tables import RESULTS

STEP, LONGER_VIDEO, PEAK_GIB, COUNTED = 0.08, 0.15, 0.2, 0.08
"""Relative: a whole step from its parts; linears of 720p from those of 480p. GiB: a peak. Relative: the counted activations to the measured ones."""

T2V = MODELS["wan2.1-t2v-14b"]


def result(name: str) -> dict:
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def step(scheme: str, card=MEASURED, model=T2V, tokens: int | None = None):
    return speed.step(model, runs_on(scheme, card), measured().tokens if tokens is None else tokens, card)


def whole_steps() -> list[str]:
    return [scheme for scheme in measured().steps if scheme in ASKABLE]


@pytest.mark.parametrize("scheme", [scheme for scheme in whole_steps() if scheme != FLOAT])
def test_the_parts_foretell_a_whole_step(scheme, monkeypatch):
    known = measured()
    others = dataclasses.replace(known, steps={FLOAT: known.steps[FLOAT]})
    monkeypatch.setattr(speed, "measured", lambda: others)
    found = step(scheme)
    assert not found.whole
    assert found.seconds == pytest.approx(known.steps[scheme]["step_s"], rel=STEP)


@pytest.mark.parametrize("scheme", whole_steps())
def test_a_measured_step_is_given_as_it_was_measured(scheme):
    found = step(scheme)
    assert found.whole
    assert found.seconds == pytest.approx(measured().steps[scheme]["step_s"])
    assert not step(scheme, tokens=75600).whole
    assert not step(scheme, CARDS["H100"]).whole


@pytest.mark.parametrize("scheme", [scheme for scheme in whole_steps() if scheme != FLOAT])
def test_a_peak_is_foretold_from_the_float_models(scheme):
    found = sizes(T2V, SCHEMES[scheme].format).all + activations(T2V, measured().tokens) + spare()
    assert found / GIB == pytest.approx(measured().steps[scheme]["peak_gib"], abs=PEAK_GIB)


def test_linears_of_longer_videos_are_foretold():
    rows = {(row["kernel"], row["inputs"], row["outputs"], row["rows"]): row["median_ms"] for row in result("h200_linear")["rows"]}
    for scheme in ASKABLE:
        if (scheme, 5120, 5120, 75600) in rows and scheme not in measured().steps:
            block = 6 * rows[scheme, 5120, 5120, 75600] + rows[scheme, 5120, 13824, 75600] + rows[scheme, 13824, 5120, 75600]
            assert step(scheme, tokens=75600).linears == pytest.approx(40 * block / 1000, rel=LONGER_VIDEO), scheme


def test_the_small_models_linears_are_its_own():
    small = MODELS["wan2.1-t2v-1.3b"]
    assert step("fp8-vllm", model=small).linears == pytest.approx(30 * measured().linears[1536]["fp8-vllm"]["block_ms"] / 1000)
    assert step("fp8-b128-torch", model=small) is None


def test_attention_grows_with_the_square_and_the_rest_with_the_number_of_tokens():
    one, two = step("fp8-vllm"), step("fp8-vllm", tokens=2 * measured().tokens)
    assert two.attention == pytest.approx(4 * one.attention)
    assert (two.linears, two.between) == pytest.approx((2 * one.linears, 2 * one.between))


def test_a_card_of_less_throughput_is_slower_in_what_it_computes():
    here, there = step("int8-vllm"), step("int8-vllm", CARDS["RTX 4090"])
    assert there.attention / here.attention == pytest.approx(989.4 / 165.2)
    assert there.between / here.between == pytest.approx(4800 / 1008)
    assert 1979 / 660.6 <= there.linears / here.linears <= 4800 / 1008


def test_the_counted_activations_are_about_the_measured_ones():
    from lightquant.reports.fit.memory import _counted

    assert _counted(T2V, measured().tokens, 0) / GIB == pytest.approx(measured().noted["activations_gib"], rel=COUNTED)


def test_chunks_save_something_and_never_more_than_the_ffns_part():
    for model in MODELS.values():
        whole, chunked = (activations(model, 32760, rows) for rows in (0, CHUNK_ROWS))
        assert 0.2 * whole < chunked < whole


def test_a_card_runs_what_the_kernels_say(monkeypatch):
    import torch

    device = torch.device("cuda", 0)
    for card in CARDS.values():
        monkeypatch.setattr(devices, "capability", lambda device, card=card: card.capability)
        for scheme in SCHEMES:
            foreign = [kernel for kernel in VARIANTS[scheme] if isinstance(kernel, ForeignKernel)]
            if foreign and len(foreign) == len(VARIANTS[scheme]):
                able = any(kernel.runs_on(device)[0] for kernel in foreign)
                assert (runs_on(scheme, card) is not None) is able, (card.name, scheme)


def test_the_cards_of_a_kind_keep_its_ratios():
    for card in CARDS.values():
        ratios = (card.int8 / card.float16, card.fp8 / card.float16)
        expected = (4, 2 if card.capability >= (8, 9) else 0) if card.name.startswith("RTX") else (2, 2 if card.capability >= (8, 9) else 0)
        assert ratios == pytest.approx(expected, rel=0.02), card.name


def test_every_scheme_and_only_known_labels_are_in_the_table():
    assert {scheme for scheme in ASKABLE if any(runs_on(scheme, card) for card in CARDS.values())} == set(ASKABLE)
    for card in CARDS.values():
        for scheme in ASKABLE:
            runs = runs_on(scheme, card)
            if runs:
                assert card.throughput(runs.number) > 0, (card.name, scheme)
