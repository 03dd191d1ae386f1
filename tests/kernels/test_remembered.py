"""What checks have found, and forgetting it."""

import pytest
from lightquant.errors import KernelError
from lightquant.kernels.checks import remembered
from lightquant.kernels.checks.finding import Finding

FOUND = Finding(True, "it was right", 0.002)


def test_what_is_remembered_outlives_the_process(monkeypatch):
    remembered.remember({"a": FOUND})
    monkeypatch.setattr(remembered, "_here", {})
    assert remembered.recall("a") == FOUND


def test_what_says_nothing_of_the_kernel_is_not_remembered():
    remembered.remember({"a": FOUND._replace(lasting=False)})
    assert remembered.recall("a") is None
    assert not remembered.path().exists()


@pytest.mark.parametrize("kept", ['{"a": 1}', '{"a": {"worked": true}}', "[]", "{"])
def test_what_another_hand_has_written_is_not_known(kept):
    remembered.path().parent.mkdir(parents=True)
    remembered.path().write_text(kept, encoding="utf-8")
    assert remembered.recall("a") is None


def test_what_is_forgotten_is_not_recalled():
    remembered.remember({"a": FOUND})
    assert remembered.recall("a") == FOUND
    remembered.forget()
    assert remembered.recall("a") is None
    remembered.forget()


def test_what_cant_be_forgotten_is_an_error_that_names_the_file():
    remembered.path().mkdir(parents=True)
    with pytest.raises(KernelError, match="can't be forgotten") as problem:
        remembered.forget()
    assert str(remembered.path()) in str(problem.value)
