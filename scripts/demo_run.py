"""The demo itself, in the environment's Python: `demo_run.py <ComfyUI folder> [demo.py's arguments]`. demo.py starts it."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from demo_base import arguments, make_base
from demo_files import Models, prepare
from demo_graphs import Video
from demo_measure import FLOAT, Bench, Run, measure
from demo_options import parse
from demo_picture import picture
from demo_report import results, table
from demo_server import DemoError, Server, running_server
from environment import SetUpError
from lightquant.errors import LightQuantError
from lightquant.kernels import report
from lightquant.schemes import SCHEMES

LOG, RESULTS, PICTURE = "server.log", "results.json", "latents.png"
INTERRUPTED = 130


def main() -> int:
    for name in ("SIGTERM", "SIGHUP"):  # every way to end the demo ends its server too
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        run(Path(sys.argv[1]), parse(sys.argv[2:]))
    except (DemoError, LightQuantError, SetUpError, OSError) as problem:
        print(f"\nThe demo stopped. {problem}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nThe demo was interrupted.", file=sys.stderr)
        return INTERRUPTED
    return 0


def run(comfyui: Path, options: argparse.Namespace) -> None:
    """Make the models, measure each in a server of its own, and write what came of it into the output folder."""
    output, base, log = options.output, options.output / "server", options.output / LOG
    video = Video(options.width, options.height, options.frames, options.steps)
    on_gpu = torch.cuda.is_available()
    output.mkdir(parents=True, exist_ok=True)
    make_base(base, [file for file in (options.dit, options.float_dit, options.t5, options.clip, options.tokenizer) if file])
    log.write_bytes(b"")
    print("Making the models ...", flush=True)
    models = prepare(options, base / "models")
    schemes, left_out = choose_schemes(options.schemes, models, torch.device("cuda" if on_gpu else "cpu"))
    start = partial(running_server, comfyui, base, log, port=options.port)
    usual = arguments(base, models.folders(), on_cpu=not on_gpu)
    names = [FLOAT, *schemes] if models.has_float() else schemes
    runs: list[Run] = []
    for name in names:
        print(f"Starting ComfyUI for {name} ...", flush=True)
        # Nothing is cached between prompts, so that the same one runs, and loads, a second time.
        with start([*usual, "--cache-none"]) as server:
            system, more = asyncio.run(measure(Bench(server, base, models, video, on_gpu), name))
            runs += more
    write_report(output, results(options, system, models, runs, left_out), runs)
    if options.keep:
        with start(usual) as server:
            keep(server)


def write_report(output: Path, found: dict, runs: Sequence[Run]) -> None:
    """Print the table; keep the results and the picture."""
    image, found["panels"] = picture(runs, [_label(entry) for entry in found["runs"]])
    image.save(output / PICTURE)
    (output / RESULTS).write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(f"\n{table(found)}\n\nKept in {output}: {RESULTS}, {PICTURE}, {LOG}", flush=True)


def choose_schemes(wanted: list[str] | None, models: Models, device: torch.device) -> tuple[list[str], dict[str, str]]:
    """The schemes to run, and why each other one of the models' formats is left out. Raises DemoError for a wanted one that can't run."""
    fitting = {name: verdict for name, verdict in report(device).items() if SCHEMES[name].format in models.formats()}
    for name in wanted or ():
        if name not in SCHEMES:
            raise DemoError(f"There is no scheme {name}. The schemes are: {', '.join(SCHEMES)}.")
        if name not in fitting:
            raise DemoError(f"{name} reads {SCHEMES[name].format}; the models of this demo are stored as {' and '.join(sorted(models.formats()))}.")
        if not fitting[name][0]:
            raise DemoError(f"{name} can't run on this machine: {fitting[name][1]}")
    chosen = wanted or [name for name, (able, _) in fitting.items() if able]
    return chosen, {name: why for name, (able, why) in fitting.items() if not able}


def keep(server: Server) -> None:
    """Leave the server up until the user interrupts. Raises DemoError when it ends by itself."""
    try:
        # Within the block: whoever reads the line may press Ctrl-C at once.
        print(f"ComfyUI is up at {server.address}; Ctrl-C ends it.", flush=True)
        code = server.process.wait()
    except KeyboardInterrupt:
        return
    raise DemoError(f"ComfyUI ended with code {code}. {server.log_tail()}")


def _label(entry: dict) -> str:
    figures = f"cosine {entry['cosine']:.5f}, " if entry["cosine"] is not None else ""
    return f"{figures}{entry['seconds_per_step']:.3f} s/step"


if __name__ == "__main__":
    sys.exit(main())
