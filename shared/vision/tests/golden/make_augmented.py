#!/usr/bin/env python3
"""Makes the goldens of augmented copies: PIL's and torchvision's results for given parameters.

    pip install pillow torchvision
    python make_augmented.py

Made with Pillow 13.0.0, torchvision 0.29.2. Reads picture-*.png, which make_golden.py makes. A case is a line of augmented.tsv:
picture, degrees, box (left top width height, or -), flip, brightness, contrast, shorter side, crop, file.
"""
import hashlib
import math
import os
import struct

import torchvision.transforms.functional as F
from PIL import Image
from torchvision.transforms import InterpolationMode

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = [
    # picture, degrees, box, flip, brightness, contrast, shorter side, crop
    (0, 17.5, None, False, 1.0, 1.0, 40, 32),
    (1, -33.25, None, False, 1.0, 1.0, 40, 32),
    (4, 179.5, None, False, 1.0, 1.0, 71, 33),
    (2, 0.0, (5, 9, 30, 21), False, 1.0, 1.0, 40, 32),
    (3, 0.0, (0, 0, 64, 40), False, 1.0, 1.0, 40, 25),
    (5, 0.0, None, True, 1.0, 1.0, 56, 33),
    (6, 0.0, None, False, 0.6, 1.0, 40, 32),
    (6, 0.0, None, False, 1.45, 1.0, 40, 32),
    (7, 0.0, None, False, 1.0, 0.3, 40, 32),
    (7, 0.0, None, False, 1.0, 1.7, 40, 32),
    (8, 12.0, (10, 3, 41, 37), True, 1.2, 0.85, 40, 32),
    (9, -7.0, (1, 2, 12, 16), True, 0.9, 1.3, 40, 32),
]


def usual(im, shorter_side, size):
    s = shorter_side / min(im.size)
    im = im.resize((round(im.width * s), round(im.height * s)), Image.BICUBIC)
    left, top = (im.width - size) // 2, (im.height - size) // 2
    return im.crop((left, top, left + size, top + size))


def drawn(seed, image, copy, width, height, rotation, area, brightness, contrast):
    """What src/image/augment.rs must draw; its test `a_draw_is_the_same_on_every_machine` has the numbers."""
    def uniform(purpose, turn=0):
        text = b"wardround augmentation draw 1\0" + struct.pack("<Q", seed) + image + struct.pack("<H", copy)
        digest = hashlib.sha256(text + bytes([turn]) + purpose.encode()).digest()
        return (struct.unpack("<Q", digest[:8])[0] >> 11) / 2**53

    for turn in range(10):
        size = width * height * (area[0] + (area[1] - area[0]) * uniform("area", turn))
        aspect = 1 + (4 / 3 - 1) * uniform("aspect", turn)
        aspect = aspect if uniform("upright", turn) < .5 else 1 / aspect
        w, h = round(math.sqrt(size * aspect)), round(math.sqrt(size / aspect))
        if 1 <= w <= width and 1 <= h <= height:
            break
    left = int((width - w + 1) * uniform("left", turn))
    top = int((height - h + 1) * uniform("top", turn))
    return {
        "degrees": (rotation * (2 * uniform("rotation") - 1)).hex(),
        "brightness": 1 + brightness * (2 * uniform("brightness") - 1),
        "contrast": 1 + contrast * (2 * uniform("contrast") - 1),
        "box": (left, top, w, h),
        "flip": uniform("flip") < .5,
    }


def main():
    for copy in [1, 2]:
        print(drawn(5, bytes([7] * 32), copy, 640, 480, 20, (.3, .9), .2, .5))
    lines = []
    for at, (picture, degrees, box, flip, brightness, contrast, side, crop) in enumerate(CASES):
        im = Image.open(os.path.join(HERE, f"picture-{picture:02}.png")).convert("RGB")
        if degrees:
            im = F.rotate(im, degrees, InterpolationMode.BILINEAR)
        if box:
            left, top, width, height = box
            im = F.resized_crop(im, top, left, height, width, [crop, crop], InterpolationMode.BICUBIC)
        else:
            im = usual(im, side, crop)
        if flip:
            im = F.hflip(im)
        if brightness != 1:
            im = F.adjust_brightness(im, brightness)
        if contrast != 1:
            im = F.adjust_contrast(im, contrast)
        file = f"augmented-{at:02}.png"
        im.save(os.path.join(HERE, file), optimize=True)
        box = " ".join(map(str, box)) if box else "-"
        lines.append("\t".join(map(str, [picture, degrees, box, int(flip), brightness, contrast, side, crop, file])))
    with open(os.path.join(HERE, "augmented.tsv"), "w") as f:
        f.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
