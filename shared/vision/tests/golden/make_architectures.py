#!/usr/bin/env python3
"""Makes architectures.safetensors and registry.json: what timm makes of every architecture with generated weights, and how timm
describes the weights that it publishes.

    pip install torch torchvision timm torchxrayvision numpy safetensors
    python make_architectures.py [name ...]        # all, or only the named ones anew
    python make_architectures.py registry          # only registry.json

Made with torch 2.15.0 (CPU), timm 1.0.31, torchxrayvision 1.5.7, numpy 2.4.6.

Generated weights (`Generator`, also in generated.rs): element i of the tensor called `name` is u in [-1, 1), the upper 24 bits of
splitmix64(fnv1a64(name) + i). A weight of two or more axes is u * sqrt(6 * gain / fan_in), where fan_in is the product of all axes but the
first; a norm's weight is 1 + u/10; running_var and factors of branches 1 + u/2; learned tokens, position embeddings and tables of relative
positions u; everything else u/10. The gain, by default 1, is the architecture's: it keeps the standard deviation of every stage between
.01 and 100, two images apart, and f32 near f64, and the script refuses numbers for which it doesn't. They are computed in f64.

Images (`image`): number n's channel c is drawn from "image n c": a grid of 3 x 3 patches of brightness 3 u, and on every pixel u of
"pixels n c".

For every architecture NAME, and NAME@HEIGHTxWIDTH where it is run at several sizes, the file holds, for a batch of two images:
    NAME          height, width and gain, f64
    NAME/features [2, features]
    NAME/STAGE    of the first image's map the largest magnitude, then every k-th value in the order [channels, height, width], where k is
                  the least that leaves at most 256; of a sequence without the class token
"""
import json
import os
import sys

import numpy as np
import timm
import torch
from safetensors.numpy import load_file, save_file

HERE = os.path.dirname(os.path.abspath(__file__))
FILE = os.path.join(HERE, "architectures.safetensors")
SAMPLES = 256


def xrv_densenet121(_name):
    from torchxrayvision.models import DenseNet
    net = DenseNet()
    # timm's norm has its activation within.
    net.features.norm5.register_forward_hook(lambda _module, _inputs, output: output.relu())
    net.forward = net.features2
    net.num_features, net.classifier = 1024, torch.nn.Identity()
    return net


def by_timm(name, **options):
    return timm.create_model(name.split("@")[0], num_classes=0, **options)


def any_size(name):
    """Position embeddings are resampled for the image."""
    return by_timm(name, dynamic_img_size=True)


def wide_swin(name):
    return by_timm(name, img_size=(224, 448))


RESNET = ["maxpool", "layer1", "layer2", "layer3", "layer4"]
DENSENET = ["features.pool0"] + [f"features.denseblock{i}" for i in range(1, 5)] + ["features.norm5"]
INVERTED = ["conv_stem"] + [f"blocks.{i}" for i in range(7)] + ["conv_head"]
VIT = ["patch_embed"] + [f"blocks.{i}" for i in range(12)] + ["norm"]
SWIN = ["patch_embed"] + [f"layers.{i}" for i in range(4)] + ["norm"]
CONVNEXT = ["stem"] + [f"stages.{i}" for i in range(4)]
# Modules after which timm calls the norm and activation: their result is the stage's map.
LATER = {"conv_stem": "bn1", "conv_head": "bn2"}


def vgg(runs, step):
    """Pools, and the activation before the last one."""
    ends, at = [], 0
    for run in runs:
        at += run * step
        ends.append(at)
        at += 1
    return [f"features.{end}" for end in ends] + [f"features.{ends[-1] - 1}"]


# Name, image height and width, gain, stages, and who builds it. Sizes are small where the network allows, and uneven.
MODELS = [
    ("resnet18", (96, 75), .5, RESNET, by_timm),
    ("resnet34", (75, 96), .5, RESNET, by_timm),
    ("resnet50", (96, 75), .5, RESNET, by_timm),
    ("resnet101", (75, 96), .4, RESNET, by_timm),
    ("resnet152", (96, 75), .4, RESNET, by_timm),
    ("vgg11", (224, 256), 1, vgg([1, 1, 2, 2, 2], 2), by_timm),
    ("vgg13", (224, 224), 1, vgg([2, 2, 2, 2, 2], 2), by_timm),
    ("vgg16", (224, 224), 1, vgg([2, 2, 3, 3, 3], 2), by_timm),
    ("vgg19", (224, 224), 1, vgg([2, 2, 4, 4, 4], 2), by_timm),
    ("vgg11_bn", (224, 224), 1, vgg([1, 1, 2, 2, 2], 3), by_timm),
    ("vgg13_bn", (224, 224), 1, vgg([2, 2, 2, 2, 2], 3), by_timm),
    ("vgg16_bn", (224, 224), 1, vgg([2, 2, 3, 3, 3], 3), by_timm),
    ("vgg19_bn", (224, 224), 1, vgg([2, 2, 4, 4, 4], 3), by_timm),
    ("densenet121", (96, 75), 1, DENSENET, by_timm),
    ("densenet161", (75, 96), 1, DENSENET, by_timm),
    ("densenet169", (96, 75), 1, DENSENET, by_timm),
    ("densenet201", (75, 96), 1, DENSENET, by_timm),
    ("xrv_densenet121", (75, 96), 1, DENSENET, xrv_densenet121),
    ("mobilenetv2_100", (96, 75), .8, INVERTED, by_timm),
]
# Squeeze-and-excitation makes these sensitive: a little more explodes, a little less forgets the image.
for i, gain in enumerate([1, 1, 1, .97, .93, .93, .88, .87]):
    MODELS.append((f"efficientnet_b{i}", (96, 75), gain, INVERTED, by_timm))
    MODELS.append((f"tf_efficientnet_b{i}", (75, 96), gain, INVERTED, by_timm))
for i in range(5):
    MODELS.append((f"tf_efficientnet_lite{i}", (75, 96), .7, INVERTED, by_timm))
MODELS += [
    ("vit_tiny_patch16_224", (224, 224), 1, VIT, any_size),
    ("vit_tiny_patch16_224@160x256", (160, 256), 1, VIT, any_size),
    ("vit_small_patch16_224", (224, 224), 1, VIT, any_size),
    ("vit_base_patch16_224", (224, 224), 1, VIT, any_size),
    ("vit_small_patch8_224", (224, 224), 1, VIT, any_size),
    ("vit_base_patch8_224", (96, 64), 1, VIT, any_size),
    ("deit_tiny_patch16_224", (224, 224), 1, VIT, any_size),
    ("deit_small_patch16_224", (96, 128), 1, VIT, any_size),
    ("deit_base_patch16_224", (128, 96), 1, VIT, any_size),
    ("vit_small_patch14_dinov2", (518, 518), 1, VIT, any_size),
    ("vit_small_patch14_dinov2@224x224", (224, 224), 1, VIT, any_size),
    ("vit_small_patch14_dinov2@154x238", (154, 238), 1, VIT, any_size),
    ("vit_base_patch14_dinov2", (224, 224), 1, VIT, any_size),
    ("swin_tiny_patch4_window7_224", (224, 224), 1, SWIN, by_timm),
    ("swin_tiny_patch4_window7_224@224x448", (224, 448), 1, SWIN, wide_swin),
    ("swin_small_patch4_window7_224", (224, 224), 1, SWIN, by_timm),
    ("swin_base_patch4_window7_224", (224, 224), 1, SWIN, by_timm),
    ("convnext_tiny", (224, 224), 1, CONVNEXT, by_timm),
    ("convnext_tiny@97x161", (97, 161), 1, CONVNEXT, by_timm),
    ("convnext_small", (96, 75), 1, CONVNEXT, by_timm),
    ("convnext_base", (75, 96), 1, CONVNEXT, by_timm),
]


def uniform(name, start, count):
    h = 0xcbf29ce484222325
    for byte in name.encode():
        h = (h ^ byte) * 0x100000001b3 % 2**64
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(start, start + count, dtype=np.uint64) + np.uint64(0x9e3779b97f4a7c15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xbf58476d1ce4e5b9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94d049bb133111eb)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype("f8") / 2**23 - 1


def generated(name, shape, gain):
    values = np.empty(int(np.prod(shape)), "f4")
    step = 1 << 22  # in pieces, for the sake of memory
    for start in range(0, len(values), step):
        u = uniform(name, start, min(step, len(values) - start))
        if name.endswith(".weight") and len(shape) > 1:
            u = u * np.sqrt(6 * gain / np.prod(shape[1:]))
        elif name.endswith(".weight"):
            u = 1 + u / 10
        elif name.endswith((".running_var", "gamma", ".lambda1", ".layer_scale_parameter")):
            u = 1 + u / 2
        elif len(shape) < 2:
            u = u / 10
        values[start:start + step] = u
    return torch.from_numpy(values.reshape(shape))


def image(n, channels, height, width):
    planes = []
    for c in range(channels):
        patches = 3 * uniform(f"image {n} {c}", 0, 9).reshape(3, 3)
        y, x = np.arange(height) * 3 // height, np.arange(width) * 3 // width
        pixels = uniform(f"pixels {n} {c}", 0, height * width).reshape(height, width)
        planes.append(patches[y][:, x] + pixels)
    return torch.from_numpy(np.stack(planes).astype("f4"))


def as_map(x, net, height, width):
    """[n, channels, height, width] of what may be channels last, or a sequence."""
    if x.ndim == 4:
        return x.permute(0, 3, 1, 2) if hasattr(net, "patch_embed") else x
    patch = net.patch_embed.patch_size[0]
    patches = x[:, net.num_prefix_tokens:].transpose(1, 2)
    return patches.reshape(len(x), -1, height // patch, width // patch)


def run(net, stages, x):
    """Features, and the map of every stage."""
    maps, hooks = {}, []
    modules = dict(net.named_modules())
    for stage in stages:
        def keep(_module, _inputs, output, stage=stage):
            # A later ReLU may work in place.
            maps[stage] = as_map(output.clone(), net, *x.shape[2:])
        hooks.append(modules[LATER.get(stage, stage)].register_forward_hook(keep))
    features = net(x)
    for hook in hooks:
        hook.remove()
    return {"features": features} | {stage: maps[stage] for stage in stages}


def golden(name, size, gain, stages, build):
    net = build(name).eval()
    for key, value in net.state_dict().items():
        if value.is_floating_point():
            value.copy_(generated(key, tuple(value.shape), gain))
    channels = next(p for p in net.parameters() if p.ndim == 4).shape[1]
    x = torch.stack([image(n, channels, *size) for n in range(2)])
    rounded = run(net, stages, x)
    exact = run(net.double(), stages, x.double())
    out = {name: np.array([*size, gain], "f8"), f"{name}/features": exact["features"].float().contiguous().numpy()}
    for stage in stages:
        flat = exact[stage][0].flatten().numpy()
        out[f"{name}/{stage}"] = np.concatenate([[np.abs(flat).max()], flat[::-(-len(flat) // SAMPLES)]]).astype("f4")
    features = exact["features"]
    apart = float((features[0] - features[1]).abs().max() / features.abs().max())
    deviations = {stage: float(exact[stage].std()) for stage in stages}
    rounding = max(float((rounded[k] - exact[k]).abs().max() / exact[k].abs().max()) for k in exact)
    print(f"{name}: images differ by {apart:.2f}, rounding {rounding:.0e}, deviations", *(f"{d:.2g}" for d in deviations.values()), flush=True)
    assert all(.01 < d < 100 for d in deviations.values()), f"{name}: deviations {deviations}"
    assert apart > .1, f"{name} tells two images apart by {apart} only"
    assert rounding < 2e-5, f"{name} differs by {rounding} between f32 and f64"
    return out


def registry():
    """For every name that timm publishes weights of: what its configuration says. For every architecture: its size."""
    published, architectures = {}, {}
    for name, *_, build in MODELS:
        if "@" in name:
            continue
        net = build(name)
        architectures[name] = {
            "features": net.num_features if not name.startswith("vgg") else net.head_hidden_size,
            "parameters": sum(p.numel() for p in net.parameters()),
        }
        for full in timm.list_pretrained(f"{name}.*") if build is not xrv_densenet121 else []:
            cfg = timm.get_pretrained_cfg(full)
            published[full] = {
                "licence": cfg.license, "input_size": cfg.input_size[1], "crop_pct": cfg.crop_pct,
                "interpolation": cfg.interpolation, "mean": cfg.mean, "std": cfg.std,
            }
    with open(os.path.join(HERE, "registry.json"), "w") as file:
        lines = lambda d: ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(d.items()))
        file.write(f'{{"architectures": {{\n{lines(architectures)}\n}},\n"published": {{\n{lines(published)}\n}}}}\n')


def main():
    wanted = sys.argv[1:]
    kept = load_file(FILE) if wanted and os.path.exists(FILE) else {}
    if wanted == ["registry"]:
        return registry()
    out = {k: v for k, v in kept.items() if k.split("/")[0] not in wanted}
    with torch.inference_mode():
        for model in MODELS:
            if not wanted or model[0] in wanted:
                out.update(golden(*model))
    save_file(out, FILE)
    registry()


if __name__ == "__main__":
    main()
