"""A recipe: which format each layer of a model is stored in, as a small JSON that `lightquant plan` writes and people may, too.

{"lightquant_recipe": 1, "component": "dit", "layers": {"blocks.0.self_attn.q": "float", "blocks.*.ffn.*": "int4-g128", "*": "int8-channel"}}

layers: names without ".weight", a DiT's and umt5's in Wan's own naming, or patterns as in file names -> a format, or "float". The first entry that
fits a layer decides; a layer that none fits stays float. What is never quantized is not named. Optional: "scale" and "dtype", as the options of
`convert` are called, which they stand in for; "made_for": {"source", "layers", "weights"}, what the model was; "note", for people.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import partial

from ..errors import ConvertError
from ..formats import ABSMAX, DTYPES, FORMATS, MSE
from ..loaders.components import COMPONENTS

FLOAT = "float"
"""In the place of a format's name: not quantized, only rounded to the dtype of the rest."""

VERSION = 1
_VERSION, _COMPONENT, _LAYERS, _SCALE, _DTYPE, _MADE_FOR, _NOTE = (
    "lightquant_recipe", "component", "layers", "scale", "dtype", "made_for", "note",
)  # fmt: skip
_OPTIONS = {_COMPONENT: tuple(COMPONENTS), _SCALE: (ABSMAX, MSE), _DTYPE: tuple(DTYPES)}
"""Field -> what it may say."""

_PARTIAL = ".partial"


@dataclass(frozen=True)
class MadeFor:
    """The model that a recipe was made for. source: its file's name; layers: how many can be quantized; weights: numbers in them."""

    source: str
    layers: int
    weights: int


@dataclass(frozen=True)
class Recipe:
    """layers: name or pattern -> format or FLOAT, in order; scaling, dtype: None where the recipe does not say; path: where it was read, or ""."""

    component: str
    layers: Mapping[str, str]
    scaling: str | None = None
    dtype: str | None = None
    made_for: MadeFor | None = None
    note: str = ""
    path: str = ""

    def format_of(self, layer: str) -> str | None:
        """The name of a layer's format; None where it stays float."""
        name = next((name for pattern, name in self.layers.items() if fnmatchcase(layer, pattern)), FLOAT)
        return None if name == FLOAT else name

    def check(self, source: str, component: str, layers: Mapping[str, int]) -> None:
        """Raise ConvertError unless the recipe is for this model. layers: those that can be quantized, and how many weights each has."""
        if component != self.component:
            mine, theirs = (COMPONENTS[name].title for name in (self.component, component))
            raise ConvertError(f"the recipe {self.path} is for a {mine}, and {source} is a {theirs}. Take a recipe that was made for it.")
        unknown = [pattern for pattern in self.layers if not any(fnmatchcase(layer, pattern) for layer in layers)]
        if unknown:
            raise ConvertError(
                f"{len(unknown)} entries of the recipe {self.path} fit no layer of {source} that can be quantized: {', '.join(unknown[:5])}. "
                f"Its layers have names such as {next(iter(layers), 'none')}. Correct the names, or take a recipe that was made for this model."
            )
        found = len(layers), sum(layers.values())
        if self.made_for and (self.made_for.layers, self.made_for.weights) != found:
            raise ConvertError(
                f"the recipe {self.path} was made for {self.made_for.source}, with {self.made_for.weights} weights in {self.made_for.layers} layers, "
                f"and {source} has {found[1]} in {found[0]}: it is another model. Make a recipe for it with lightquant plan."
            )


def read(path: str) -> Recipe:
    """The recipe in a file. Raises ConvertError where it can't be read, and for whatever in it has no meaning."""
    error = partial(_error, path)
    try:
        with open(path, encoding="utf-8-sig") as file:
            content = json.load(file, object_pairs_hook=partial(_no_twice, path))
    except OSError as problem:
        raise error(problem.strerror or str(problem)) from problem
    except (ValueError, RecursionError) as problem:
        raise error(f"it is no JSON ({problem})") from problem
    if not isinstance(content, dict) or content.get(_VERSION) != VERSION:
        raise error(f'it does not say "{_VERSION}": {VERSION}, which is what this version of LightQuant reads')
    unknown = sorted(content.keys() - {_VERSION, _LAYERS, _MADE_FOR, _NOTE, *_OPTIONS})
    if unknown:
        raise error(f"it has {', '.join(unknown)}, which no recipe has")
    for field, allowed in _OPTIONS.items():
        if (field in content or field == _COMPONENT) and content.get(field) not in allowed:
            raise error(f"{field} is {json.dumps(content.get(field))}, where one of {', '.join(allowed)} is needed")
    return Recipe(
        content[_COMPONENT], _layers(path, content.get(_LAYERS)), content.get(_SCALE), content.get(_DTYPE),
        _made_for(path, content.get(_MADE_FOR)), str(content.get(_NOTE, "")), path,
    )  # fmt: skip


def write(recipe: Recipe, path: str, force: bool = False) -> None:
    """Write a recipe, whole or not at all. force: what has that name may be replaced. Raises ConvertError."""
    check_target(path, force)
    optional = {_SCALE: recipe.scaling, _DTYPE: recipe.dtype, _MADE_FOR: recipe.made_for and vars(recipe.made_for), _NOTE: recipe.note}
    content = {_VERSION: VERSION, _COMPONENT: recipe.component, **{key: value for key, value in optional.items() if value}}
    try:
        with open(path + _PARTIAL, "w", encoding="utf-8") as file:
            json.dump({**content, _LAYERS: dict(recipe.layers)}, file, indent=1, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(path + _PARTIAL, path)
    except OSError as problem:
        raise ConvertError(f"{path} could not be written: {problem.strerror or problem}. What was there before is untouched.") from problem
    finally:
        if os.path.exists(path + _PARTIAL):
            os.remove(path + _PARTIAL)


def check_target(path: str, force: bool) -> None:
    """Raise ConvertError where the name is taken, or its folder is not there."""
    if os.path.exists(path) and not force:
        raise ConvertError(f"{path} is there already. Choose another name, or replace it with --force.")
    if not os.path.isdir(os.path.dirname(os.path.abspath(path))):
        raise ConvertError(f"{path} can't be written, as its folder is not there. Make it first.")


def _layers(path: str, layers: object) -> dict[str, str]:
    if not isinstance(layers, dict) or not layers:
        raise _error(path, f'"{_LAYERS}" is no table of layers and their formats')
    wrong = next((item for item in layers.items() if item[1] not in (*FORMATS, FLOAT)), None)
    if wrong:
        raise _error(path, f"it stores {wrong[0]} as {json.dumps(wrong[1])}, where one of {', '.join((*FORMATS, FLOAT))} is needed")
    return layers


def _made_for(path: str, found: object) -> MadeFor | None:
    if found is None:
        return None
    kinds = {"source": str, "layers": int, "weights": int}
    if not isinstance(found, dict) or found.keys() != kinds.keys() or not all(isinstance(found[key], kind) for key, kind in kinds.items()):
        raise _error(path, f'"{_MADE_FOR}" does not say source, layers and weights, and nothing else')
    return MadeFor(**found)


def _no_twice(path: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    twice = next((key for key, count in Counter(key for key, _ in pairs).items() if count > 1), None)
    if twice is not None:
        raise _error(path, f"{twice} stands in it twice")
    return dict(pairs)


def _error(path: str, problem: str) -> ConvertError:
    return ConvertError(f"LightQuant can't read the recipe {path}: {problem}.")
