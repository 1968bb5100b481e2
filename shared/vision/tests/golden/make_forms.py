#!/usr/bin/env python3
"""Makes forms.json and forms.safetensors: weights in others' form, and what the others' program makes of them.

    pip install torch timm transformers numpy safetensors
    python make_forms.py

Made with torch 2.15.0 (CPU), timm 1.0.31, transformers 5.24.0, numpy 2.4.6.

forms.json holds for each case ARCHITECTURE/FORM the names and shapes of the tensors as they lie in a file of that form. The weights are
generated under these names, with gain 1, and images 0 and 1 likewise (make_architectures.py). forms.safetensors holds for each case the
image's height and width as CASE, f64, and as CASE/features the features, [2, features]. Where only timm still reads a form (the original ConvNeXt
and Swin checkpoints), timm's filter does.
"""
import json
import os
import tempfile

import numpy as np
import timm
import torch
import transformers
from safetensors.numpy import load_file, save_file

from make_architectures import HERE, by_timm, generated, image


def images(size):
    return torch.stack([image(n, 3, size, size) for n in range(2)])


def in_file(model):
    """Names and shapes of the tensors in the file that transformers writes."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return {key: v.shape for key, v in load_file(os.path.join(folder, "model.safetensors")).items()}


def hugging_face(config, kind, size, result):
    """A model of transformers, whose file holds generated weights."""
    shapes = in_file(kind(config))
    with tempfile.TemporaryDirectory() as folder:
        config.save_pretrained(folder)
        weights = {key: generated(key, shape, 1).numpy() for key, shape in shapes.items()}
        save_file(weights, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
        model, info = kind.from_pretrained(folder, output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"], info
    model = getattr(model.eval(), model.base_model_prefix, model)
    return size, shapes, result(model(pixel_values=images(size)))


def original(name, other_name):
    """A model of timm, whose weights come in the form of an original checkpoint through timm's filter."""
    net = by_timm(name).eval()
    family = timm.models.convnext if name.startswith("convnext") else timm.models.swin_transformer
    shapes = {other_name(key): tuple(v.shape) for key, v in net.state_dict().items() if v.is_floating_point()}
    state = {key: generated(key, shape, 1) for key, shape in shapes.items()}
    net.load_state_dict(family.checkpoint_filter_fn(state, net))
    return 224, shapes, net(images(224))


def original_swin(key):
    parts = key.split(".")
    if parts[2:3] == ["downsample"]:
        parts[1] = str(int(parts[1]) - 1)
    return ".".join(parts)


def original_convnext(key):
    parts = key.split(".")
    if parts[0] == "stem":
        parts[:1] = ["downsample_layers", "0"]
    elif parts[2] == "downsample":
        parts = ["downsample_layers", parts[1], *parts[3:]]
    elif parts[2] == "blocks":
        parts.pop(2)
    key = ".".join(parts)
    for timms, theirs in [("conv_dw", "dwconv"), ("mlp.fc", "pwconv"), ("head.norm", "norm")]:
        key = key.replace(timms, theirs)
    return key


def token(out):
    return out.last_hidden_state[:, 0]


def pooled(out):
    return out.pooler_output


def forms():
    t = transformers
    vit = t.ViTConfig(hidden_size=192, num_attention_heads=3, intermediate_size=768)
    # At the size of its position embedding, as transformers resamples without antialiasing.
    dinov2 = t.Dinov2Config(hidden_size=384, num_attention_heads=6, image_size=518)
    return {
        "vit_tiny_patch16_224/hugging_face": hugging_face(vit, t.ViTForImageClassification, 224, token),
        "vit_small_patch14_dinov2/hugging_face": hugging_face(dinov2, t.Dinov2Model, 518, token),
        "swin_tiny_patch4_window7_224/hugging_face": hugging_face(t.SwinConfig(), t.SwinForImageClassification, 224, pooled),
        "convnext_tiny/hugging_face": hugging_face(t.ConvNextConfig(), t.ConvNextForImageClassification, 224, pooled),
        "swin_tiny_patch4_window7_224/original": original("swin_tiny_patch4_window7_224", original_swin),
        "convnext_tiny/original": original("convnext_tiny", original_convnext),
    }


def main():
    tensors, names = {}, {}
    with torch.inference_mode():
        for case, (size, shapes, features) in forms().items():
            apart = float((features[0] - features[1]).abs().max() / features.abs().max())
            assert apart > .1, f"{case} tells two images apart by {apart} only"
            names[case] = {name: list(shape) for name, shape in shapes.items()}
            tensors[case] = np.array([size, size], "f8")
            tensors[f"{case}/features"] = features.contiguous().numpy()
    save_file(tensors, os.path.join(HERE, "forms.safetensors"))
    with open(os.path.join(HERE, "forms.json"), "w") as file:
        json.dump(names, file, separators=(",", ":"))


if __name__ == "__main__":
    main()
