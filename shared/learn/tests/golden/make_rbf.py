#!/usr/bin/env python3
"""Golden coefficients of support vector machines on random Fourier features for study/kernel.rs, by scikit-learn.

    pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1
    python make_rbf.py > rbf.json

The rows are those of make_logistic.py. The map is written out here as matrices, from its description in
shared/learn/src/fourier: signs by HMAC-SHA256, Hadamard's matrix by scipy, cosines and sines by numpy. The support vector machine
is make_svm.py's, with a free constant.
"""
import hashlib
import hmac
import json
import platform

import numpy as np
import scipy
import sklearn
from scipy.linalg import hadamard

import make_balanced
import make_logistic
import make_svm

SEED, GAMMA, COMPONENTS = 7, 0.7, 200


def bits(seed, purpose, *parts):
    message = b"".join(len(part).to_bytes(8, "little") + part for part in (purpose.encode(), *parts))
    return int.from_bytes(hmac.new(seed.to_bytes(8, "little"), message, hashlib.sha256).digest()[:8], "little")


def signs(block, turn, width):
    words = [bits(SEED, "fourier", *(part.to_bytes(8, "little") for part in (block, turn, at))) for at in range(width // 64)]
    return np.array([1.0 if word >> at & 1 else -1.0 for word in words for at in range(64)])


def frequencies(features, count, gamma):
    width = max(512, 1 << (features - 1).bit_length())
    H = hadamard(width) / np.sqrt(width)
    blocks = []
    for block in range(-(-count // width)):
        W = np.eye(width)
        for turn in range(3):
            W = H @ (signs(block, turn, width)[:, None] * W)
        blocks.append(np.sqrt(width) * W)
    return np.sqrt(2 * gamma / features) * np.vstack(blocks)[:count, :features]


def mapped(Z, components, gamma):
    angles = Z @ frequencies(Z.shape[1], components // 2, gamma).T
    return np.hstack([np.cos(angles), np.sin(angles)]) / np.sqrt(components / 2)


def on_features(fit):
    return lambda Z, y, C: fit(mapped(Z, COMPONENTS, GAMMA), y, C)


if __name__ == "__main__":
    case = make_logistic.case
    make_logistic.fit = on_features(make_svm.fit)
    cases = {
        "few": case(300, 8, 4, 1, 0.5),
        "weak": case(300, 8, 4, 1, 20.0),
        "missing": case(300, 8, 4, 1, 2.0, missing=True),
        "constant": case(300, 8, 4, 1, 2.0, constant=True),
        "own_site": case(300, 8, 4, 2, 2.0, "site"),
        "many": case(400, 90, 4, 3, 1.0),
    }
    make_logistic.fit = on_features(make_balanced.svm)
    cases["balanced"] = case(300, 8, 4, 1, 2.0)
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__, "scipy": scipy.__version__,
                      "python": platform.python_version(), "seed": SEED, "gamma": GAMMA, "components": COMPONENTS, "cases": cases},
                     indent=1))
