#!/usr/bin/env python3
"""Makes the goldens of fingerprints: hashes by PIL and scipy, and altered copies of photographs.

    pip install pillow numpy scipy
    python make_copies.py

Made with Pillow 13.0.0, numpy 2.4.6, scipy 1.17.1. Reads picture-*.png and photograph-*.jpg. A line of copies.tsv is a file, the file that
it is a copy of (or -), and its hash as 64 hexadecimal digits. Pictures of 33 x 71 are left out: Pillow 13 resamples what becomes wider and
less high down its columns first, Wardround always along the rows, which rounds some pixels by one grey level otherwise.
"""
import glob
import os

import numpy as np
from PIL import Image, ImageEnhance
from scipy.fft import dctn

HERE = os.path.dirname(os.path.abspath(__file__))


def hash_of(im):
    grey = im.convert("RGB").resize((64, 64), Image.BILINEAR).convert("L")
    waves = dctn(np.asarray(grey).astype(float), type=2, norm="ortho")[:16, :16]
    median = np.median(waves.ravel()[1:])
    words = [0] * 4
    for down in range(16):
        for across in range(16):
            if waves[down, across] > median:
                bit = 16 * ((down + across) % 16) + down
                words[bit // 64] |= 1 << (bit % 64)
    return "".join(f"{word:016x}" for word in words)


def line(name, original):
    return f"{name}\t{original}\t{hash_of(Image.open(os.path.join(HERE, name)))}\n"


def save(im, name, **how):
    im.save(os.path.join(HERE, name), **how)
    return name


pictures = sorted(glob.glob(os.path.join(HERE, "picture-*.png")))
lines = [line(os.path.basename(p), "-") for p in pictures if Image.open(p).size != (33, 71)]
for path in sorted(glob.glob(os.path.join(HERE, "photograph-*.jpg"))):
    name = os.path.basename(path)
    im = Image.open(path).convert("RGB")
    im.thumbnail((96, 96))
    stem = "copy-" + name.removeprefix("photograph-").removesuffix(".jpg")
    small = save(im, f"{stem}.png")
    lines.append(line(small, "-"))
    half = im.resize((im.width // 2, im.height // 2), Image.BICUBIC)
    copies = [
        save(im, f"{stem}-encoded.jpg", quality=50),
        save(half, f"{stem}-half.png"),
        save(ImageEnhance.Brightness(im).enhance(1.2), f"{stem}-brighter.jpg", quality=90),
        save(ImageEnhance.Contrast(im).enhance(0.8), f"{stem}-paler.jpg", quality=90),
        save(im.convert("L"), f"{stem}-grey.png"),
    ]
    lines += [line(copy, small) for copy in copies]
with open(os.path.join(HERE, "copies.tsv"), "w") as out:
    out.writelines(lines)
