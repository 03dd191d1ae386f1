"""What each layer of a float model costs in each format, and the recipe of least error for a size.

A recipe's error adds up LayerError.weighted over the layers that can be quantized: squared error over squared weights, times the number of weights.
Divided by the number of all of those weights it is the mean of their layers' relative squared errors, and its root is what is shown. It knows weights
only: not which layers' errors a picture shows, nor in which inputs the outliers come. What LightX2V never quantizes stays float.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite, prod, sqrt
from os.path import basename

from ..convert.overlap import ahead
from ..convert.plan import Plan, plan_of
from ..convert.recipe import FLOAT, MadeFor, Recipe
from ..convert.run import Progress, check_finite, metadata_of, no_progress, size_of
from ..convert.selection import USUAL_DTYPE, layers_in
from ..convert.settings import Settings
from ..convert.source import Source
from ..convert.writer import ALIGNMENT, bound_of, frame_of
from ..errors import ConvertError
from ..formats import ABSMAX, DTYPES, mixture
from ..loaders.download import readable
from ..loaders.random_weights import is_marked_random
from .knapsack import Option, choose
from .weight_errors import LayerError, layer_error

RANDOM = "its weights are random: the errors are those of such weights, and say nothing of a trained model's"

Picks = Mapping[str, str]
"""Source key -> the name of the format that its layer is stored in, or FLOAT."""


@dataclass(frozen=True)
class Asked:
    """formats: names from FORMATS that layers may have, besides float; the rest as in the Settings of a conversion."""

    formats: tuple[str, ...]
    scaling: str = ABSMAX
    dtype: str | None = None
    device: str = "cpu"
    keep: tuple[str, ...] = ()


@dataclass(frozen=True)
class Whole:
    """A model stored in one way. name: what the way is called; nbytes: of its file; error: root of its weights' mean relative squared error."""

    name: str
    nbytes: int
    error: float


@dataclass(frozen=True)
class Planned:
    """A recipe and what it gives.

    layers: those that can be quantized, as the recipe stores them; rest: bytes of all else in the file, its header included;
    whole: the file that convert writes by the recipe; least: no recipe that fits errs less than this; pure: the same model all
    float, and in each single format.
    """

    recipe: Recipe
    layers: tuple[LayerError, ...]
    rest: int
    whole: Whole
    least: float
    pure: tuple[Whole, ...]


class Sensitivity:
    """A float model, and what each of its layers costs in each format once that has been measured.

    component: what it is; float_bytes: of the file that convert would write with every layer float.
    """

    def __init__(self, source: Source, asked: Asked, rename: Callable[[str], str] = str):
        """rename: source key -> written key. Nothing but headers is read. Raises ConvertError where the source can't be converted."""
        self._source, self._asked, self._rename = source, asked, rename
        whole = self._plan(None)
        self.component, self.float_bytes = whole.component, size_of(source, whole)
        layers = layers_in(whole.component, {output.key: source.headers[output.source].shape for output in whole.outputs})
        self._names = {output.source: layers[output.key] for output in whole.outputs if output.key in layers}
        self._ways = {output.source: {FLOAT: output} for output in whole.outputs}
        for format_name in asked.formats:
            for output in self._plan(format_name).outputs:
                if output.format:
                    self._ways[output.source][format_name] = output
        self._errors: dict[str, dict[str, LayerError]] = {}

    def check(self, budget: int) -> None:
        """Raise ConvertError where not even the smallest file has at most `budget` bytes."""
        smallest = size_of(self._source, self._plan_by(self._smallest()))
        if smallest > budget:
            always = sum(ways[FLOAT].nbytes for ways in self._ways.values() if len(ways) == 1)
            raise ConvertError(
                f"no recipe of {', '.join(self._asked.formats)} fits {readable(budget)} ({budget} bytes): the smallest file of "
                f"{self._source.path} has {readable(smallest)} ({smallest} bytes), and {readable(always)} of that stay float in any. "
                "Give it more room, allow formats of fewer bits, or keep fewer layers float."
            )

    def measure(self, progress: Progress = no_progress) -> None:
        """Read each layer that can be quantized, store it in every format and keep what that costs. progress: bytes read, of all.

        A format whose scales can't hold a layer is none of its ways. Raises ConvertError where a weight is NaN or infinite, or more than the dtype of
        what stays float holds, or where the source changes.
        """
        asked, done = self._asked, 0
        dtype = DTYPES[asked.dtype or USUAL_DTYPE[self.component]]
        total = sum(self._source.headers[key].nbytes for key in self._names)
        for key, tensor in ahead(self._source.read, self._names):
            weight = tensor.to(asked.device)
            check_finite(key, weight)
            costs = (layer_error(self._names[key], weight, way.format, asked.scaling, dtype) for way in self._ways[key].values())
            self._errors[key] = {each.format: each for each in costs if isfinite(each.squared_error)}
            if FLOAT not in self._errors[key]:
                raise ConvertError(f"{key} holds values that {asked.dtype or USUAL_DTYPE[self.component]} can't hold. Take --dtype bf16 or fp32.")
            self._ways[key] = {name: way for name, way in self._ways[key].items() if name in self._errors[key]}
            done += tensor.nbytes
            progress(done, total)
        self._source.check_unchanged()

    def plan(self, budget: int) -> Planned:
        """The recipe of least error whose file has at most `budget` bytes, after measure. Raises ConvertError where there is none."""
        self.check(budget)
        picks, least = self._best(budget)
        plan = self._plan_by(picks)
        layers = tuple(self._errors[key][picks[key]] for key in self._names)
        size = size_of(self._source, plan)
        return Planned(
            plan.settings.recipe, layers, size - sum(layer.stored_bytes for layer in layers), Whole(plan.format, size, self._error(picks)),
            sqrt(max(0.0, least) / self._weights), tuple(self._pure(name) for name in (FLOAT, *self._asked.formats)),
        )  # fmt: skip

    @property
    def _weights(self) -> int:
        """How many weights can be quantized."""
        return sum(prod(self._source.headers[key].shape) for key in self._names) or 1

    def _plan(self, format_name: str | None, recipe: Recipe | None = None) -> Plan:
        asked = self._asked
        settings = Settings(format_name, keep=asked.keep, dtype=asked.dtype, scaling=asked.scaling, device=asked.device, recipe=recipe)
        return plan_of(self._source.path, self._source.headers, settings, "planned", self._rename)

    def _plan_by(self, picks: Picks) -> Plan:
        """What convert does by the recipe of these picks."""
        made_for = MadeFor(basename(self._source.path), len(self._names), self._weights)
        note = RANDOM if is_marked_random(self._source.path) else ""
        layers = {layer: picks[key] for key, layer in self._names.items()}
        return self._plan(None, Recipe(self.component, layers, self._asked.scaling, self._asked.dtype, made_for, note))

    def _smallest(self) -> Picks:
        return {key: min(ways, key=lambda name, ways=ways: ways[name].nbytes) for key, ways in self._ways.items()}

    def _best(self, budget: int) -> tuple[Picks, float]:
        """The picks of least error, and what none can err less than.

        What the header takes is known only once all is picked, as it says where each tensor lies. First it is reckoned as in the smallest file,
        where it is shortest, so that the bound holds; where the choice then does not fit, as long as it can get.
        """
        smallest = self._smallest()
        largest = sum(max(way.nbytes for way in ways.values()) for ways in self._ways.values())
        frame = len(frame_of([], metadata_of(self._source, mixture(self._asked.formats), self._asked.scaling))) + ALIGNMENT
        bounds = {key: {name: bound_of(way.entries, largest) for name, way in ways.items()} for key, ways in self._ways.items()}
        options = [[Option(size, self._cost(key, name)) for name, size in sizes.items()] for key, sizes in bounds.items()]
        spare = frame + sum(bounds[key][name] for key, name in smallest.items()) - size_of(self._source, self._plan_by(smallest))
        least = None
        for room in (spare, 0):
            found = choose(options, budget - frame + room)
            least = found.least if found and least is None else least
            picks = found and {key: [*sizes][pick] for (key, sizes), pick in zip(bounds.items(), found.picks, strict=True)}
            if picks and size_of(self._source, self._plan_by(picks)) <= budget:
                return picks, least
        return smallest, least or 0.0

    def _cost(self, key: str, name: str) -> float:
        return self._errors[key][name].weighted if key in self._errors else 0.0

    def _error(self, picks: Picks) -> float:
        return sqrt(sum(self._cost(key, name) for key, name in picks.items()) / self._weights)

    def _pure(self, name: str) -> Whole:
        picks = {key: name if name in ways else FLOAT for key, ways in self._ways.items()}
        return Whole(name, size_of(self._source, self._plan_by(picks)), self._error(picks))
