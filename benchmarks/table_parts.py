"""What the tables of every kind of result are made of."""

from collections.abc import Sequence

NONE = "–"


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine(result: dict, texts: dict) -> str:
    environment = result["environment"]
    versions = {"ComfyUI": environment.get("comfyui"), **environment.get("packages", {})}
    others = "".join(f"{name} {version}{texts['comma']}" for name, version in versions.items() if version)
    return texts["machine"].format(**{**environment, "commit": f"`{environment['commit'][:12]}`", "others": others})


def missing(result: dict, texts: dict) -> list[str]:
    """A sentence about what did not run, if there is any."""
    schemes = [f"`{scheme}` ({why})" for scheme, why in result.get("missing", {}).items()]
    return [texts["missing"].format(schemes=texts["comma"].join(schemes))] if schemes else []


def code(name: str) -> str:
    """A name with what is behind a comma outside of the mark."""
    return "`" + name.replace(", ", "`, ", 1) + ("" if "," in name else "`")


def number(value: float | None, digits: int, beside: float | None = None) -> str:
    """A figure, and in brackets its ratio to another; a dash where there is none."""
    if value is None:
        return NONE
    return f"{value:.{digits}f}" + (f" ({value / beside:.2f})" if beside else "")


def page(settings: str, result: dict, texts: dict, *parts: str) -> str:
    """What was measured, where, the tables, and what did not run."""
    return "\n\n".join((settings, machine(result, texts), *parts, *missing(result, texts)))
