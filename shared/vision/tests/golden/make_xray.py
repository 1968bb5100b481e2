#!/usr/bin/env python3
"""Makes xray.safetensors: the golden pictures as torchxrayvision prepares its images, of a smaller side.

    pip install torchxrayvision scikit-image numpy safetensors
    python make_xray.py

Made with torchxrayvision 1.5.7, scikit-image 0.26.0, numpy 2.4.6.
"""
import os

import torchxrayvision as xrv
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    out = {}
    for picture, side in [("picture-00.png", 24), ("picture-03.png", 12), ("picture-04.png", 64), ("kind-grey.png", 45), ("kind-grey.jpg.rgb.png", 7)]:
        image = xrv.utils.load_image(os.path.join(HERE, picture))
        image = xrv.datasets.XRayCenterCrop()(image)
        out[picture] = xrv.datasets.XRayResizer(side)(image)
    save_file(out, os.path.join(HERE, "xray.safetensors"))


if __name__ == "__main__":
    main()
