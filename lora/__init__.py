"""LoRAs on a loaded model: what each of them adds where, folded together, and what rounding them into the weights would cost."""
