"""What checks have found, and forgetting it."""

import pytest
from lightquant.errors import KernelError
from lightquant.kernels import remembered


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))


def test_what_is_forgotten_is_not_recalled():
    remembered.remember({"a": {"works": True}})
    assert remembered.recall("a") == {"works": True}
    remembered.forget()
    assert remembered.recall("a") is None
    remembered.forget()


def test_what_cant_be_forgotten_is_an_error_that_names_the_file():
    remembered.path().mkdir(parents=True)
    with pytest.raises(KernelError, match="can't be forgotten") as problem:
        remembered.forget()
    assert str(remembered.path()) in str(problem.value)
