"""Packages of others: where they are, how they are installed, and what their kernels have in common."""
