import os
import subprocess
import sys

import pytest
import torch
from lightquant.bridge.first_call import settle_attention

CODE = """
import sys
sys.path.insert(0, {comfyui!r})
import torch, comfy.ops
from lightquant.bridge.first_call import settle_attention
settle_attention(torch.device("cuda", 0))
q, k, v = torch.randn(3, 1, 8, 4096, 128, device="cuda", dtype=torch.bfloat16).unbind()
first, second = (comfy.ops.scaled_dot_product_attention(q, k, v) for _ in range(2))
print(torch.equal(first, second))
"""


def test_on_the_cpu_there_is_nothing_to_settle():
    before = torch.get_rng_state()
    settle_attention(torch.device("cpu"))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.gpu
def test_the_first_attention_of_a_process_gives_the_bits_of_the_second():
    done = subprocess.run([sys.executable, "-c", CODE.format(comfyui=os.environ["COMFYUI_PATH"])], capture_output=True, text=True)
    assert done.stdout.strip().endswith("True"), done.stderr
