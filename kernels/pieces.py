"""Work in pieces, so that what exists at once stays small."""

from collections.abc import Iterator


def pieces(total: int, size: int) -> Iterator[slice]:
    """Slices of `size` that cover `total`."""
    return (slice(start, min(start + size, total)) for start in range(0, total, size))
