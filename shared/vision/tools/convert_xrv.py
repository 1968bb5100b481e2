#!/usr/bin/env python3
"""Turns torchxrayvision's DenseNet-121 into a file that this software reads.

    pip install torchxrayvision safetensors
    python convert_xrv.py [densenet121-res224-all] [folder]

torchxrayvision publishes its weights as a pickled module, and reading one executes whatever it says: do this once, where you trust
the download, and put the result, NAME.safetensors, into the folder `placed` of the weights folder. The file's SHA-256 is printed for a
study to pin.
"""
import hashlib
import os
import sys

import torchxrayvision as xrv
from safetensors.torch import save_file

BACKBONE = "features."


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "densenet121-res224-all"
    folder = sys.argv[2] if len(sys.argv) > 2 else "."
    state = xrv.models.DenseNet(weights=name).state_dict()
    tensors = {k: v.float().contiguous() for k, v in state.items() if k.startswith(BACKBONE) and v.is_floating_point()}
    path = os.path.join(folder, name + ".safetensors")
    save_file(tensors, path)
    with open(path, "rb") as file:
        print(hashlib.sha256(file.read()).hexdigest(), path)


if __name__ == "__main__":
    main()
