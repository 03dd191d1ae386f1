"""The page: well-formed, complete, offline, and safe whatever a file or a layer is called."""

from dataclasses import replace
from html.parser import HTMLParser
from math import inf

import numpy as np
import pytest
from lightquant.errors import ReportError
from lightquant.reports.error_report import picture
from lightquant.reports.error_report.files import paths_for, save
from lightquant.reports.error_report.page import to_html
from lightquant.reports.error_report.report import OUTPUTS, WEIGHTS, ErrorReport, Latents, Side
from lightquant.reports.page.markup import VOID, element
from lightquant.reports.weight_errors import LayerError
from PIL import ImageColor

NASTY = "<script>alert('x')</script>&amp;\"quoted\""


class Page(HTMLParser):
    """Every element with its attributes and text; fails where elements are not closed in order."""

    def __init__(self, text: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict, list[str]]] = []
        self._open: list[tuple[str, dict, list[str]]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        assert len(dict(attrs)) == len(attrs), f"an attribute stands twice in {tag}"
        found = (tag, dict(attrs), [])
        self.elements.append(found)
        if tag not in VOID:
            self._open.append(found)

    def handle_endtag(self, tag):
        assert self._open
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        if self._open:
            self._open[-1][2].append(data)

    def all(self, tag: str, **attributes: str) -> list[tuple[str, dict, list[str]]]:
        return [each for each in self.elements if each[0] == tag and attributes.items() <= each[1].items()]

    def texts(self, tag: str) -> list[str]:
        return ["".join(text) for name, _, text in self.elements if name == tag]


def layer(block: int, kind: str, error: float, format_name: str = "int8-channel") -> LayerError:
    return LayerError(f"blocks.{block}.{kind}", format_name, 64, 64 * 128, 2 * 64 * 128, 64 * 128 + 256, error, 1.0, 3, 1)


def side(name: str = "wan.safetensors", scale: float = 1.0) -> Side:
    return Side(name, tuple(layer(block, kind, scale * 1e-4 * (1 + block)) for block in range(12) for kind in ("self_attn.q", "ffn.0", "ffn.2")))


def report(*sides: Side, **more) -> ErrorReport:
    return ErrorReport(WEIGHTS, "float.safetensors", "float", sides or (side(),), **more)


REPORTS = {
    "one": report(),
    "two": report(side("a"), side("b", 9.0), random=True, notes=("A note.",)),
    "outputs": replace(report(), measured=OUTPUTS, latents=Latents(0.9999, 0.012, 4, 7)),
    "nasty": report(Side(NASTY, (layer(0, NASTY, 1e-4), layer(1, "ffn.0", 4e-4))), notes=(NASTY,)),
    "exact, infinite and outside of blocks": report(
        Side("odd", (layer(0, "q", 0.0), layer(1, "q", inf), replace(layer(0, "q", 1e-4), layer="head")))
    ),
    "one layer": report(Side("x", (layer(0, "q", 1e-4),))),
}


@pytest.mark.parametrize("what", list(REPORTS))
def test_it_is_well_formed_and_fetches_nothing(what):
    text = to_html(REPORTS[what])
    page = Page(text)
    assert text.startswith("<!DOCTYPE html>")
    assert page.all("html", lang="en")
    assert page.all("meta", charset="utf-8")
    assert page.all("meta", name="viewport")
    assert "prefers-color-scheme:dark" in page.texts("style")[0]
    assert len(page.texts("script")) == 1
    for _, attributes, _ in page.elements:
        assert not {"src", "href", "srcset", "data", "action"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in text
    assert "@import" not in text
    assert "//" not in page.texts("script")[0]


@pytest.mark.parametrize("what", list(REPORTS))
def test_it_reads_without_eyes(what):
    page = Page(to_html(REPORTS[what]))
    assert page.texts("title")[0]
    assert len(page.all("h1")) == len(page.all("main")) == 1
    ids = [attributes["id"] for _, attributes, _ in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    plots = page.all("svg")
    assert len(plots) == 2 + len(REPORTS[what].sides)
    assert all(plot[1]["role"] == "img" and plot[1]["aria-labelledby"] in ids for plot in plots)
    assert all(page.texts("desc"))
    assert len(page.all("caption")) == len(page.all("table")) >= 4
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes, _ in page.elements if tag == "th")
    scrolled = page.all("div", **{"class": "scroll"})
    assert all(each[1]["tabindex"] == "0" and each[1]["role"] == "region" and each[1]["aria-label"] for each in scrolled)
    assert len(scrolled) == len(page.all("table")) + len(REPORTS[what].sides)


@pytest.mark.parametrize("what", list(REPORTS))
def test_every_layer_is_in_the_heat_map_and_the_table(what):
    page = Page(to_html(REPORTS[what]))
    layers = [each for found in REPORTS[what].sides for each in found.layers]
    cells = [each for each in page.all("rect") if each[1].get("class", "").startswith("h") and each[1]["height"] == "20"]
    assert len(cells) == len(layers)
    rows = ["".join(text) for tag, attributes, text in page.elements if tag == "th" and attributes["scope"] == "row"]
    assert {each.layer for each in layers} <= set(rows)


def test_names_are_text_wherever_they_stand():
    text = to_html(REPORTS["nasty"])
    page = Page(text)
    assert "alert('x')" not in "".join(page.texts("script"))
    assert "<script>alert" not in text
    assert f"{NASTY}, int8-channel" in "".join(page.texts("p"))
    assert element("b", NASTY, title=NASTY).count("<") == 2


def test_colours_and_dots_follow_the_errors():
    page = Page(to_html(report()))
    pairs = zip(page.elements, page.elements[1:], strict=False)
    shades = {"".join(title[2]): shape[1]["class"] for shape, title in pairs if (shape[0], title[0]) == ("rect", "title")}
    by_block = {block: shades[next(text for text in shades if text.startswith(f"blocks.{block}.ffn.0,"))] for block in (0, 11)}
    cells = [text for text in shades if shades[text].startswith("h")]
    assert len(cells) == 36
    assert by_block[0] != by_block[11]
    assert len(page.all("circle")) == 36
    assert len(Page(to_html(REPORTS["two"])).all("rect", **{"class": "dot two"})) == 36


def test_the_label_of_random_weights_is_there_and_only_there():
    assert "The weights are random" in to_html(REPORTS["two"])
    assert "The weights are random" not in to_html(REPORTS["one"])


def test_outputs_show_the_latents_and_no_channels():
    text = to_html(REPORTS["outputs"])
    assert "Sampled latents" in text
    assert "0.999900" in text
    assert "dead channels" not in text
    assert "dead channels" in to_html(REPORTS["one"])


@pytest.mark.parametrize("what", list(REPORTS))
def test_the_picture_shows_each_report(what):
    image = np.asarray(picture.draw(REPORTS[what])).astype(int)
    assert image.shape[1] == 1440
    assert (image[-10:] == 255).all()
    alarm = (image == np.array(ImageColor.getrgb("#d7263d"))).all(axis=2).any()
    assert alarm == REPORTS[what].random


def test_the_worst_layer_is_the_darkest_in_the_picture():
    def darkest(found: ErrorReport) -> int:
        image = np.asarray(picture.draw(found)).astype(int)
        return int((image == np.array(ImageColor.getrgb(picture.COLOURS[-1]))).all(axis=2).sum())

    layers = list(side().layers)
    assert darkest(report(Side("x", (*layers, layer(12, "ffn.0", 4.0))))) != darkest(report())


def test_files_by_their_end_and_a_folder(tmp_path):
    paths = paths_for(str(tmp_path), "wan_report")
    assert [path.rpartition("/")[2] for path in paths] == ["wan_report.html", "wan_report.json"]
    save(report(), paths)
    for name in ("a.html", "b.json", "c.txt", "d.png"):
        save(report(), paths_for(str(tmp_path / name), "x"))
    assert len(list(tmp_path.iterdir())) == 6
    assert (tmp_path / "d.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "a.html").read_text() == (tmp_path / "wan_report.html").read_text() == to_html(report())


@pytest.mark.parametrize("place", ["nowhere/report.html", "report.pdf", "nowhere/"])
def test_a_place_that_takes_no_report_is_refused_before_the_work(tmp_path, place):
    with pytest.raises(ReportError, match="can't be written to"):
        paths_for(str(tmp_path / place), "x")


def test_a_file_that_cant_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.html"
    path.write_text("before")
    (tmp_path / "a.html.partial").mkdir()
    with pytest.raises(ReportError, match="Choose another place"):
        save(report(), [str(path)])
    assert path.read_text() == "before"
