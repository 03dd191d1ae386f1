"""A client of ComfyUI's API: queues one graph, follows it over the websocket, and gives back what came of it."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType

import aiohttp
from demo_server import DemoError, Server

PREVIEW_IMAGE = 1
"""The event number at the start of a binary message that carries a preview; its image follows 4 more bytes."""


@dataclass
class Outcome:
    """What a finished prompt left.

    outputs: by node, what ComfyUI's history holds: the text a node shows, the files it saved.
    step_times: seconds between the ends of two steps of the followed node.
    preview: the last preview image (JPEG), or None if there was none; seconds: the whole prompt, loading included.
    """

    outputs: Mapping[str, dict] = field(default_factory=dict)
    step_times: list[float] = field(default_factory=list)
    preview: bytes | None = None
    seconds: float = 0.0


class Client:
    """An open connection to a server; use it with `async with`."""

    def __init__(self, server: Server):
        self._server = server
        self._id = uuid.uuid4().hex

    async def __aenter__(self) -> Client:
        self._session = aiohttp.ClientSession(self._server.address)
        try:
            self._socket = await self._session.ws_connect("/ws", params={"clientId": self._id}, max_msg_size=0)
        except aiohttp.ClientError as error:
            await self._session.close()
            raise self._lost() from error
        return self

    async def __aexit__(self, kind: type | None, problem: BaseException | None, trace: TracebackType | None) -> None:
        await self._session.close()

    async def run(self, graph: Mapping[str, dict], follow: str, on_step: Callable[[int, int], None]) -> Outcome:
        """Queue a graph and wait for its end.

        follow: the node whose steps are timed and handed to on_step (the step, of how many).
        Raises DemoError when the server refuses the graph, a node raises, or the server ends.
        """
        start = time.monotonic()
        try:
            prompt = await self._queue(graph)
            outcome = await self._follow(prompt, follow, on_step)
            history = await self.get(f"/history/{prompt}")
        except aiohttp.ClientError as error:
            raise self._lost() from error
        outcome.outputs = history[prompt]["outputs"]
        outcome.seconds = time.monotonic() - start
        return outcome

    async def free(self) -> None:
        """Ask the server to drop its models; it does so in its own time."""
        await self._session.post("/free", json={"unload_models": True, "free_memory": True})

    async def get(self, path: str) -> dict:
        """The JSON at a path of the API."""
        async with self._session.get(path) as answer:
            return await answer.json()

    async def _queue(self, graph: Mapping[str, dict]) -> str:
        async with self._session.post("/prompt", json={"prompt": graph, "client_id": self._id}) as answer:
            reply = await answer.json()
        if "prompt_id" not in reply or reply.get("node_errors"):
            raise DemoError(_refusal(reply))
        return reply["prompt_id"]

    async def _follow(self, prompt: str, follow: str, on_step: Callable[[int, int], None]) -> Outcome:
        outcome, last, node = Outcome(), None, None
        async for message in self._socket:
            if message.type == aiohttp.WSMsgType.BINARY:
                if node == follow and int.from_bytes(message.data[:4], "big") == PREVIEW_IMAGE:
                    outcome.preview = message.data[8:]
                continue
            if message.type != aiohttp.WSMsgType.TEXT:
                continue
            event = json.loads(message.data)
            kind, data = event["type"], event.get("data") or {}
            if data.get("prompt_id") != prompt:
                continue
            if kind == "executing":
                node = data["node"]
                if node is None:  # the last message of a prompt, sent once its history can be asked for
                    return outcome
            elif kind == "progress" and data["node"] == follow and data["value"] > 0:
                now = time.monotonic()
                if last is not None:
                    outcome.step_times.append(now - last)
                last = now
                on_step(data["value"], data["max"])
            elif kind in ("execution_error", "execution_interrupted"):
                raise DemoError(_failure(data))
        raise self._lost()

    def _lost(self) -> DemoError:
        return DemoError(f"The connection to the ComfyUI server was lost: it has ended or no longer answers. {self._server.log_tail()}")


def _refusal(reply: Mapping) -> str:
    """ComfyUI's answer to a graph it does not take, one line a problem."""
    lines = [f"ComfyUI refused the graph: {reply.get('error', {}).get('message', 'it has invalid nodes')}"]
    for node, problem in (reply.get("node_errors") or {}).items():
        lines += [f"  {problem['class_type']} ({node}): {error['message']}: {error['details']}" for error in problem["errors"]]
    return "\n".join(lines)


def _failure(data: Mapping) -> str:
    return f"The node {data.get('node_type')} ({data.get('node_id')}) stopped: {data.get('exception_message', 'it was interrupted').strip()}"
