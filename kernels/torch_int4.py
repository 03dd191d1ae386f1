"""`int4-g128-torch`: int4-g128 weights on everything that torch runs on."""

from .expand import Expanded

VARIANTS = (Expanded("int4-g128-torch", "int4-g128", "4-bit codes are multiplied as floats"),)
