"""`fp8-b128-torch`: fp8-b128 weights on everything that torch runs on."""

from .expand import Expanded

VARIANTS = (Expanded("fp8-b128-torch", "fp8-b128", "torch's products of fp8 blocks are not used yet"),)
