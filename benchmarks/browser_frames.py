"""Frames of ComfyUI's page while it pans, in states that differ in what the extension adds to its loaders, and the time that each frame took."""

import json
import random
import statistics
from collections.abc import Callable
from typing import NamedTuple

WITHOUT, AGAIN, LARGE, WITH = "without", "without, again", "as large, without", "with"
STATES = (WITHOUT, AGAIN, LARGE, WITH)
"""Loaders without the status and as high as they are without the extension, twice; as high as with it; and with it."""

TRACED = ("disabled-by-default-devtools.timeline", "blink.user_timing")
FRAME = "lightquant-frame "

PAUSABLE = """{
  const Observer = window.ResizeObserver
  window.ResizeObserver = class extends Observer {
    constructor(then) { super((...values) => window.arePaused || then(...values)) }
  }
}"""
"""For the page before it is opened: with arePaused ComfyUI does not follow the size of its nodes' elements, which takes it many frames."""

_CLASSIC = """() => {
  const nodes = app.graph.nodes.map(node => {
    const [width, large] = node.size, status = node.widgets.find(widget => widget.name === "lightquant_status")
    const others = node.widgets.filter(widget => widget !== status)
    node.widgets = others
    const small = node.computeSize()[1]
    return { node, widgets: { true: [...others, status], false: others }, sizes: { true: [width, large], false: [width, small] } }
  })
  window.showState = state => {
    for (const { node, widgets, sizes } of nodes) {
      node.widgets = widgets[state === "with"]
      node.setSize(sizes[state === "with" || state.startsWith("as large")])
    }
  }
}"""

_NEW = """() => {
  window.arePaused = true
  const nodes = app.graph.nodes.map(node => {
    const box = document.querySelector(`[data-node-id="${node.id}"]`)
    const status = box.querySelector(".lightquant-status"), blank = document.createElement("div")
    const row = status.closest(".lg-node-widget"), rows = row.parentElement.style.gridTemplateRows
    blank.style.height = `${status.offsetHeight}px`
    const more = row.offsetHeight + parseFloat(getComputedStyle(row.parentElement).rowGap)
    return { box, status, blank, row, rows, height: box.offsetHeight, more }
  })
  window.showState = state => {
    const isLarge = state === "with" || state.startsWith("as large")
    for (const { box, status, blank, row, rows, height, more } of nodes) {
      const [shown, other] = state === "with" ? [status, blank] : [blank, status]
      if (other.isConnected) other.replaceWith(shown)
      row.style.display = isLarge ? "" : "none"
      row.parentElement.style.gridTemplateRows = isLarge ? rows : rows.replace(/ \\S+$/, "")
      box.style.setProperty("--node-height", `${height - (isLarge ? 0 : more)}px`)
    }
  }
}"""

PAN = """async ([states, frames, mark]) => {
  let last = ""
  app.canvas.draw = function (...values) {
    performance.mark(mark + last)
    return Object.getPrototypeOf(this).draw.apply(this, values)
  }
  for (const [turn, state] of states.entries()) {
    showState(state)
    for (let frame = 0; frame < frames; frame++) {
      last = JSON.stringify([turn, frame])
      app.canvas.ds.offset[0] += frame % 2 ? 3 : -3
      app.canvas.setDirty(true, true)
      await new Promise(requestAnimationFrame)
    }
  }
  delete app.canvas.draw
  performance.clearMarks()
}"""


class Turns(NamedTuple):
    """How the states take turns. change: the script that changes them; frames: of a state before the next one; cycles: of all states in a round.

    begin: the first of the frames that counts. The change to a state falls into its first frame or the last one of the state before, and in
    the new rendering Chromium is busy with the nodes' elements for some more, so none of these count.
    """

    change: str
    frames: int
    begin: int
    cycles: int

    def counts(self, frame: int) -> bool:
        return self.begin <= frame < self.frames - 1


TURNS = {"classic": Turns(_CLASSIC, 4, 1, 16), "new": Turns(_NEW, 16, 3, 9)}
"""By the page's rendering. A frame of the new one takes 20 or 30 ms, by turns of Chromium's own, so it needs more of them."""


def cycles_of(browser, page, turns: Turns) -> list[dict[str, float]]:
    """A round: for each cycle the milliseconds a frame of each state. The states come in another order each time."""
    order = [state for _ in range(turns.cycles) for state in random.sample(STATES, len(STATES))]
    browser.start_tracing(page=page, categories=list(TRACED))
    page.evaluate(PAN, [order, turns.frames, FRAME])
    return in_cycles(frames_in(json.loads(browser.stop_tracing())["traceEvents"]), order, turns)


def frames_in(events: list[dict]) -> list[tuple[int, int, float]]:
    """The frames in a trace: which turn it was, its number in the turn, and the CPU milliseconds of the page's main thread up to the next frame."""
    left = sorted((event for event in events if event["name"].startswith(FRAME)), key=lambda event: event["ts"], reverse=True)
    thread = [left[0][key] for key in ("pid", "tid")]
    tasks = [event for event in events if event["name"] == "RunTask" and "tdur" in event and [event["pid"], event["tid"]] == thread]
    frames = []
    for task in sorted(tasks, key=lambda event: event["ts"]):
        while left and left[-1]["ts"] <= task["ts"] + task["dur"]:
            frames.append([*json.loads(left.pop()["name"].removeprefix(FRAME)), 0.0])
        if frames:
            frames[-1][2] += task["tdur"] / 1000
    return [tuple(frame) for frame in frames]


def in_cycles(frames: list[tuple[int, int, float]], order: list[str], turns: Turns) -> list[dict[str, float]]:
    """For each cycle the mean of each state's frames that count; a cycle of which a turn has none is left out. order: the state of each turn."""
    spent: list[list[float]] = [[] for _ in order]
    for turn, number, milliseconds in frames:
        if turns.counts(number):
            spent[turn].append(milliseconds)
    cycles = [range(start, start + len(STATES)) for start in range(0, len(order), len(STATES))]
    return [{order[turn]: statistics.mean(spent[turn]) for turn in cycle} for cycle in cycles if all(spent[turn] for turn in cycle)]


def own_ms(devtools, pan: Callable[[], object], frames: int) -> float:
    """What the extension's functions, and what they call, take of each of the frames that pan() draws: by the samples of Chromium's profiler."""
    devtools.send("Profiler.enable")
    devtools.send("Profiler.setSamplingInterval", {"interval": 500})
    devtools.send("Profiler.start")
    pan()
    profile = devtools.send("Profiler.stop")["profile"]
    return spent_by(profile, "/extensions/lightquant/") / frames


def spent_by(profile: dict, path: str) -> float:
    """The milliseconds of a profile in functions of scripts under the path, and in what those call."""
    nodes = {node["id"]: node for node in profile["nodes"]}
    ours, left = set(), [node["id"] for node in profile["nodes"] if path in node["callFrame"]["url"]]
    while left:
        ours.add(number := left.pop())
        left += [child for child in nodes[number].get("children", []) if child not in ours]
    return sum(spent for number, spent in zip(profile["samples"], profile["timeDeltas"], strict=True) if number in ours) / 1000
