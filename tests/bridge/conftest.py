import pytest


@pytest.fixture
def checkpoint(models):
    """Reads a checkpoint of the model folders by component and file name: the truth that loaded layers are held to."""
    from lightquant.bridge.folders import full_path, open_file
    from lightquant.loaders import read

    return lambda component, name: read(full_path(component, name), component, open_file)
