"""Writes road.csv: removed pixels of a 12 x 12 image as ROAD imputes them (without noise), solved directly by SciPy.

The system is that of section 4.2 of arXiv 2202.00449: a removed pixel is the mean of its neighbours, 1/6 for each beside it and
1/12 for each at a corner; at the border over those that there are.
"""

from pathlib import Path

import numpy as np
from scipy.sparse import lil_matrix
from scipy.sparse.linalg import spsolve

SIDE = 12
image = np.array([(at * at % 29) / 10 - 1 for at in range(SIDE * SIDE)], dtype=np.float32).astype(float).reshape(SIDE, SIDE)
rows, columns = np.indices((SIDE, SIDE))
masks = {
    "every third": (rows * SIDE + columns) % 3 == 0,
    "lower right": (rows >= 3) & (columns >= 4),
}

lines = []
for name, gone in masks.items():
    pixels = [tuple(pixel) for pixel in np.argwhere(gone)]
    place = {pixel: at for at, pixel in enumerate(pixels)}
    matrix, right = lil_matrix((len(pixels), len(pixels))), np.zeros(len(pixels))
    for at, (row, column) in enumerate(pixels):
        for down in (-1, 0, 1):
            for across in (-1, 0, 1):
                other = (row + down, column + across)
                if (down, across) == (0, 0) or not (0 <= other[0] < SIDE and 0 <= other[1] < SIDE):
                    continue
                weight = 1 / 6 if 0 in (down, across) else 1 / 12
                matrix[at, at] += weight
                if other in place:
                    matrix[at, place[other]] -= weight
                else:
                    right[at] += weight * image[other]
    lines.append(name + "," + ",".join(f"{value:.9f}" for value in spsolve(matrix.tocsr(), right)))
Path(__file__).with_name("road.csv").write_text("\n".join(lines) + "\n")
