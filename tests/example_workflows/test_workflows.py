"""The example workflows: as they are described, whole, laid out, and run on small models under the published names."""

import asyncio
import itertools
import json
import os
import re
import urllib.request
from pathlib import Path

import pytest
from demo_client import Client
from PIL import Image
from workflows.catalogue import WORKFLOWS
from workflows.files import FILES
from workflows.graph import Link, Note, Workflow, node
from workflows.small import SMALL, in_small
from workflows.written import API_FOLDER, PAGE_FOLDER, api_text, page_text

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE, API = REPOSITORY / PAGE_FOLDER, REPOSITORY / API_FOLDER
NAMES = list(WORKFLOWS)
WRITTEN_FOR = "0.30.0"
"""The ComfyUI whose nodes' inputs the written files have."""
TITLE = 30
"""Pixels of a node's title, which the page draws above its place."""


def page(name: str) -> dict:
    return json.loads((PAGE / f"{name}.json").read_text(encoding="utf-8"))


def api(name: str) -> dict:
    return json.loads((API / f"{name}.json").read_text(encoding="utf-8"))


def boxes(found: dict) -> dict[str, tuple[float, float, float, float]]:
    """By id, where each node lies with its title: left, top, right, bottom."""
    return {
        each["id"]: (each["pos"][0], each["pos"][1] - TITLE, each["pos"][0] + each["size"][0], each["pos"][1] + each["size"][1])
        for each in found["nodes"]
    }


def test_the_files_are_what_the_description_gives(info):
    version = re.search(r'__version__ = "(.+)"', Path(os.environ["COMFYUI_PATH"], "comfyui_version.py").read_text())[1]
    if version != WRITTEN_FOR:
        pytest.skip(f"the files have the inputs of ComfyUI {WRITTEN_FOR}'s nodes; this is {version}")
    for folder, texts in ((PAGE, page_text(info)), (API, api_text(info))):
        assert {file.stem for file in folder.glob("*.json")} == set(texts)
        for name, text in texts.items():
            assert (folder / f"{name}.json").read_text(encoding="utf-8") == text, f"{name}: run python3 scripts/make_workflows.py"


@pytest.mark.parametrize("name", NAMES)
def test_both_forms_say_the_same(name, info):
    found, prompt = page(name), api(name)
    shown = {str(each["id"]): each for each in found["nodes"] if each["type"] != "MarkdownNote"}
    assert {number: each["type"] for number, each in shown.items()} == {number: each["class_type"] for number, each in prompt.items()}
    wires = {wire[0]: wire for wire in found["links"]}
    for number, each in shown.items():
        linked = {slot["name"]: [str(wires[slot["link"]][1]), wires[slot["link"]][2]] for slot in each["inputs"] if slot["link"] is not None}
        assert linked == {key: value for key, value in prompt[number]["inputs"].items() if isinstance(value, list)}
        kept = [value for value in prompt[number]["inputs"].values() if not isinstance(value, list)]
        assert [value for value in each["widgets_values"] if value not in ("fixed", "randomize", "image")] == kept


@pytest.mark.parametrize("name", NAMES)
def test_links_agree_from_both_ends(name):
    found = page(name)
    nodes = {each["id"]: each for each in found["nodes"]}
    assert sorted(nodes) == list(range(1, found["last_node_id"] + 1))
    for number, source, output, target, socket, kind in found["links"]:
        assert number in nodes[source]["outputs"][output]["links"]
        assert nodes[target]["inputs"][socket]["link"] == number
        assert kind in nodes[target]["inputs"][socket]["type"].split(",") or nodes[target]["inputs"][socket]["type"] == "COMFY_MATCHTYPE_V3"


@pytest.mark.parametrize("name", NAMES)
def test_every_model_is_offered_for_download(name):
    for each in page(name)["nodes"]:
        named = {value for value in each["widgets_values"] if re.search(r"\.(safetensors|pth)$", str(value))}
        offered = {model["name"]: model for model in each["properties"].get("models", [])}
        assert set(offered) == named
        for model in offered.values():
            assert re.fullmatch(rf"https://huggingface\.co/[\w.-]+/[\w.-]+/resolve/main/([\w.-]+/)*{re.escape(model['name'])}", model["url"])
            assert model["directory"] in ("diffusion_models", "text_encoders", "clip_vision", "vae", "loras")


@pytest.mark.parametrize("name", NAMES)
def test_nodes_lie_in_their_frames_and_on_nothing(name):
    found = page(name)
    places = boxes(found)
    for (first, one), (second, other) in itertools.combinations(places.items(), 2):
        apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
        assert apart, f"{name}: {first} lies on {second}"
    frames = [(left, top, left + width, top + height) for left, top, width, height in (each["bounding"] for each in found["groups"])]
    for number, box in places.items():
        holding = [each for each in frames if each[0] < box[0] and each[1] < box[1] and box[2] < each[2] and box[3] < each[3]]
        assert len(holding) == 1, f"{name}: {number}"
    for one, other in itertools.pairwise(frames):
        assert one[2] < other[0]


@pytest.mark.parametrize("name", NAMES)
def test_the_note_speaks_both_languages(name):
    (note,) = (each["widgets_values"][0] for each in page(name)["nodes"] if each["type"] == "MarkdownNote")
    assert len(re.findall(r"^## ", note, re.MULTILINE)) == 2
    assert len(re.findall(r"[\u4e00-\u9fff]", note)) > 60
    assert "{" not in note


@pytest.mark.parametrize("name", NAMES)
def test_it_runs_on_small_models_under_the_published_names(name, server, workflow_base):
    async def run():
        async with Client(server) as client:
            return await client.run(in_small(api(name)), "", lambda *_: None)

    outcome = asyncio.run(run())
    if name == "quantize_and_save":
        saved = workflow_base / "models" / "diffusion_models" / "lightquant" / "wan2.1_t2v_1.3B_int8.safetensors"
        assert saved.stat().st_size < (workflow_base / "models" / "diffusion_models" / "wan2.1_t2v_1.3B_fp16.safetensors").stat().st_size
        return
    (video,) = (file for each in outcome.outputs.values() for kind in ("images", "video") for file in each.get(kind, []))
    path = workflow_base / "output" / video["subfolder"] / video["filename"]
    import av

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    wide = 3 * SMALL["width"] if name == "compare_schemes" else SMALL["width"]
    assert len(frames) == SMALL["length"]
    assert frames[0].shape == (SMALL["height"], wide, 3)
    assert frames[0].std() > 1
    path.unlink()


def test_the_template_browser_lists_them(server):
    with urllib.request.urlopen(f"{server.address}/workflow_templates") as answer:
        assert sorted(json.load(answer)["lightquant"]) == sorted(NAMES)
    for name in NAMES:
        with urllib.request.urlopen(f"{server.address}/api/workflow_templates/lightquant/{name}.json") as answer:
            assert json.load(answer) == page(name)


@pytest.mark.parametrize("broken", [node("KSampler", stepz=3), node("KSampler", steps=Link("other")), node("NoSuchNode")])
def test_what_a_node_does_not_have_is_an_error(broken, info):
    from workflows.api_form import api_form
    from workflows.graph import Column

    with pytest.raises(ValueError, match=r"no input stepz|is a widget|no node NoSuchNode"):
        api_form(Workflow("broken", (Column("", {"other": node("VAELoader"), "node": broken}),)), info)


def test_every_published_file_is_used():
    used = {
        value for workflow in WORKFLOWS.values() for each in workflow.nodes().values() for value in each.inputs.values() if isinstance(value, str)
    }
    assert set(FILES) <= used
    assert all(isinstance(next(iter(workflow.columns[0].nodes.values())), Note) for workflow in WORKFLOWS.values())


@pytest.mark.parametrize("name", NAMES)
def test_it_has_a_thumbnail(name):
    path = PAGE / f"{name}.jpg"
    assert path.stat().st_size < 60_000
    with Image.open(path) as image:
        assert image.format == "JPEG"
        assert image.size == (640, 360)
