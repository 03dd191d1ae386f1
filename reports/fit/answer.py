"""What fits a machine, best first; what does not and by how much; and what is measured of it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from ...formats import FP8_CHANNEL, INT4_G128
from ...schemes import SCHEMES
from .before import Before, before
from .cards import MEASURED
from .measured import measured
from .memory import activations, for_models_gib, spare
from .notes import notes_on
from .rescue import Least, least
from .runs_on import ASKABLE, Runs, format_of, runs_on
from .sizes import FLOAT, GIB, sizes
from .speed import Step, moving_s, step
from .ways import DYNAMIC, OWN, RESIDENT, WAYS, Placement, Way, least_vram, place
from .wish import Wish

MEASURED_STEP, FROM_PARTS, OTHER_CARD = "measured", "estimated from measured parts", "estimated, not measured"
"""How sure a step's time is."""

ALIKE = 1.05
"""Times within so much of each other are alike: measured ones differ by as much from run to run."""

NOT_MOVED, NOT_MEASURED, AT_480P = "nothing is moved", "not measured yet", "measured at 832x480, 81 frames"
"""The same of what offloading does to it."""

_TAGS = {FP8_CHANNEL.name: "fp8", INT4_G128.name: "int4"}
"""How the measured ways of offloading begin; what is neither takes fp8's, whose weights are as large."""


@dataclass(frozen=True)
class Option:
    """A setting that fits.

    scheme: or "bf16"; package: where its kernel comes from; way, title: from WAYS.
    vram_gib: that it takes, torch's spare memory included; vram_least_gib: below which it can't work.
    streamed_gib: at every step, from_file_gib of it from the disk; step_s, compute_s: seconds of a step, and of computing alone.
    error: of the first prediction against bf16, measured with random weights, None where it has not been; weight_error: of such weights.
    node: what to set of Offload Model, None for no node; dynamic: whether ComfyUI's dynamic VRAM is on, None for either.
    speed, offload: how sure the time is, and what offloading does to it.
    """

    scheme: str
    format: str
    package: str
    way: str
    title: str
    vram_gib: float
    vram_least_gib: float
    streamed_gib: float
    from_file_gib: float
    step_s: float
    compute_s: float
    error: float | None
    weight_error: float
    node: Mapping[str, object] | None
    dynamic: bool | None
    speed: str
    offload: str

    @property
    def waits(self) -> bool:
        """Whether a step is longer for what is streamed."""
        return self.step_s > 1.01 * self.compute_s


@dataclass(frozen=True)
class Refused:
    """A setting that does not fit. short_gib: VRAM that is missing."""

    scheme: str
    format: str
    way: str
    title: str
    vram_least_gib: float
    short_gib: float


@dataclass(frozen=True)
class Fit:
    """The answer to a wish. vram_gib, ram_gib: what of the machine is for the run and for models. unable: scheme -> why it is out of question.

    options: what fits, best first: fast, then exact, then simple; before: what runs before and behind the model; least: None where something fits.
    """

    wish: Wish
    tokens: int
    vram_gib: float
    ram_gib: float
    options: tuple[Option, ...]
    refused: tuple[Refused, ...]
    unable: Mapping[str, str]
    before: tuple[Before, ...]
    least: Least | None
    notes: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return bool(self.options)

    @property
    def best(self) -> tuple[Option, ...]:
        """Of each scheme the best of its options, best first."""
        first: dict[str, Option] = {}
        for option in self.options:
            first.setdefault(option.scheme, option)
        return tuple(first.values())

    def as_dict(self) -> dict:
        """The same as plain dictionaries, lists, strings and numbers, for JSON."""
        wish = asdict(self.wish) | {"vram_gib": self.wish.vram, "gpu": self.wish.card.name}
        return {**asdict(self), "wish": wish, "model": self.wish.of_model.title, "fits": self.fits, "text": self.text()}

    def text(self) -> str:
        """The same for people."""
        from .text import to_text

        return to_text(self)


def fit(wish: Wish) -> Fit:
    """What fits. Raises nothing that Wish has not raised."""
    vram, ram = wish.vram - wish.reserve_gib, for_models_gib(wish.ram_gib)
    unable, options, refused = {}, [], []
    for scheme in (wish.scheme,) if wish.scheme else ASKABLE:
        runs, computing = _computing(wish, scheme)
        if computing is None:
            unable[scheme] = f"no kernel for {wish.card.name}" if runs is None else "its kernel for this card and model has not been measured"
            continue
        for way in WAYS:
            if scheme == FLOAT and way.kind == OWN:
                continue  # Offload Model moves quantized layers only
            found = _evaluate(wish, scheme, computing, way, vram * GIB, max(0, ram) * GIB)
            (options if isinstance(found, Option) else refused).append(found)
    options = ranked(options)
    around = before(wish, ram, options[0].format if options else None)
    leasts = [each.vram_least_gib for each in (*options, *refused)]
    if not all(each.fits for each in around):
        options = []
    missing = None if options else least(wish, leasts)
    return Fit(wish, wish.tokens, vram, ram, tuple(options), tuple(refused), unable, around, missing, notes_on(wish, options))


def _computing(wish: Wish, scheme: str) -> tuple[Runs | None, Step | None]:
    runs = runs_on(scheme, wish.card)
    return runs, step(wish.of_model, runs, wish.tokens, wish.card) if runs else None


def _evaluate(wish: Wish, scheme: str, computing: Step, way: Way, vram: float, ram: float) -> Option | Refused:
    """A way under a scheme. vram, ram: bytes for the run and for models."""
    format_name, model, card = format_of(scheme), wish.of_model, wish.card
    needs, whole = activations(model, wish.tokens, way.chunk_rows), sizes(model, format_name)
    placed = place(way, whole, needs, spare(), vram, ram / model.experts)
    if placed is None:
        lacking = least_vram(way, whole, needs)
        return Refused(scheme, format_name, way.name, way.title, lacking / GIB, (lacking - vram) / GIB)
    added, offload = _offloading(way, placed, format_name)
    return Option(
        scheme=scheme,
        format=format_name,
        package="torch" if scheme == FLOAT else SCHEMES[scheme].package,
        way=way.name,
        title=way.title,
        vram_gib=placed.vram / GIB,
        vram_least_gib=placed.least / GIB,
        streamed_gib=placed.streamed / GIB,
        from_file_gib=placed.from_file / GIB,
        step_s=max(computing.seconds + added, moving_s(placed, card, wish.disk_gb_s)),
        compute_s=computing.seconds,
        error=_error(format_name),
        weight_error=measured().weight_errors.get(format_name, 0.0),
        node=placed.node,
        dynamic={RESIDENT: None, DYNAMIC: True, OWN: False}[way.kind],
        speed=OTHER_CARD if card is not MEASURED else MEASURED_STEP if computing.whole and offload != NOT_MEASURED else FROM_PARTS,
        offload=offload,
    )


def _offloading(way: Way, placed: Placement, format_name: str) -> tuple[float, str]:
    """Seconds that offloading was measured to add to a step, and how sure it is that it adds no more."""
    if not placed.streamed:
        return 0.0, NOT_MOVED
    at = measured()
    found = at.offload.get(f"{_TAGS.get(format_name, _TAGS[FP8_CHANNEL.name])} {way.label}")
    if found:
        return max(0.0, found["added_s"]), AT_480P
    paged = way.name == DYNAMIC and format_name == FP8_CHANNEL.name and placed.vram >= at.noted["paged"][-1]["used_gib"] * GIB
    return 0.0, AT_480P if paged else NOT_MEASURED


def _error(format_name: str) -> float | None:
    """Of the first prediction against bf16, under the first of a format's schemes that it was measured for."""
    steps = measured().steps
    return next((steps[scheme]["error"] for scheme in steps if format_of(scheme) == format_name), None)


def ranked(options: Iterable[Option]) -> list[Option]:
    """Fast first, then exact, then what leaves RAM to others, then simple. Times that are ALIKE count as the same."""
    left, found = sorted(options, key=lambda option: option.step_s), []
    names = [way.name for way in WAYS]
    while left:
        count = sum(option.step_s <= ALIKE * left[0].step_s for option in left)
        found += sorted(left[:count], key=lambda option: (option.weight_error, _fills_ram(option), option.step_s, names.index(option.way)))
        left = left[count:]
    return found


def _fills_ram(option: Option) -> bool:
    """Whether its pinned copies take all that is free, and are not all that is streamed."""
    return "pinned_limit" in (option.node or {})
