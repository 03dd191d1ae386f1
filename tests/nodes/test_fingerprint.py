"""What makes a loader run again."""

import os
from pathlib import Path

from lightquant.errors import CheckpointError
from lightquant.nodes.fingerprint import fingerprint


def test_it_changes_with_the_request_and_the_files_and_with_nothing_else(tmp_path):
    def stamp(name: str, time: int = 1) -> Path:
        path = tmp_path / name
        path.write_bytes(b"same")
        os.utime(path, (time, time))
        return path

    first = fingerprint(lambda: ("request", [stamp("a")]))
    assert fingerprint(lambda: ("request", [stamp("a")])) == first
    others = [("another", [stamp("a")]), ("request", [stamp("b")]), ("request", [])]
    seen = {first, *(fingerprint(lambda other=other: other) for other in others), fingerprint(lambda: ("request", [stamp("a", time=2)]))}
    assert len(seen) == 5


def test_an_error_is_part_of_the_answer(tmp_path):
    def ask() -> tuple[object, list[str]]:
        raise CheckpointError("no such file")

    assert "no such file" in fingerprint(ask)
    assert "absent" in fingerprint(lambda: (1, [tmp_path / "absent"]))
