"""Makes trees.json: boosted trees by XGBoost (exact splits) and trees of a random forest by
scikit-learn's CART on the bootstrap weights that the study's seed draws. With each, the importance of
columns: XGBoost's total_gain as shares, and what a random forest of scikit-learn makes of its trees'
feature_importances_.

    pip install numpy scikit-learn xgboost
    python make_trees.py > trees.json

Features are whole numbers of at most 61 values, so that no bin holds two of them and both search the
same splits. A row is a patient. Missing values occur in two columns. Forests see few values, so that a
leaf's rows have no gaps in which scikit-learn would cut elsewhere.
"""

import hashlib
import hmac
import json
import math
import struct

import numpy as np
import xgboost
from sklearn.tree import DecisionTreeClassifier

SEED = 7
ROWS = 700
COLUMNS = 6


def noise(i, j, salt):
    """As support.rs."""
    h = (i * 1_000_003 + j * 8191 + salt * 131 + 12345) & 0xFFFFFFFF
    for _ in range(3):
        h = (h * 1_664_525 + 1_013_904_223) & 0xFFFFFFFF
        h ^= h >> 15
    return h / (1 << 31) - 1.0


def data(missing):
    x = np.array([[math.floor(30 * noise(i, j, 50)) for j in range(COLUMNS)] for i in range(ROWS)], float)
    logit = 0.08 * x[:, 0] - 0.05 * x[:, 3] + 1.5 * (x[:, 1] > 4) * (x[:, 2] < 0) - 0.3
    draw = np.array([(noise(i, 0, 51) + 1) / 2 for i in range(ROWS)])
    y = (draw < 1 / (1 + np.exp(-logit))).astype(int)
    if missing:
        for i in range(ROWS):
            if noise(i, 1, 52) > 0.6:
                x[i, 1] = np.nan
            if noise(i, 4, 52) > 0.9 - 0.6 * y[i]:
                x[i, 4] = np.nan
    return x, y


def balanced(y):
    return np.where(y == 1, len(y) / (2 * y.sum()), len(y) / (2 * (len(y) - y.sum())))


def boosted(missing, rounds, depth, rate, l2, min_weight, weighted=False):
    x, y = data(missing)
    share = 0.5 if weighted else y.mean()
    weights = balanced(y) if weighted else None
    booster = xgboost.train(
        dict(objective="binary:logistic", tree_method="exact", max_depth=depth, eta=rate, reg_lambda=l2,
             min_child_weight=min_weight, base_score=float(share), gamma=0.0, max_delta_step=0,
             nthread=1),
        xgboost.DMatrix(x, label=y, weight=weights), num_boost_round=rounds)
    gains = booster.get_score(importance_type="total_gain")
    gains = np.array([gains.get(f"f{j}", 0.0) for j in range(COLUMNS)])
    margin = booster.predict(xgboost.DMatrix(x), output_margin=True)
    return dict(missing=missing, weighted=weighted, trees=rounds, depth=depth, learning_rate=rate, l2=l2,
                min_weight=min_weight, logits=[float(m) for m in margin],
                importances=list(gains / gains.sum()))


def weight(key, tree):
    """The Poisson draw of a patient in a tree."""
    mac = hmac.new(struct.pack("<Q", SEED), digestmod=hashlib.sha256)
    for part in (b"patients of a tree", b"here", key.encode()):
        mac.update(struct.pack("<Q", len(part)))
        mac.update(part)
    bits = struct.unpack("<Q", mac.digest()[:8])[0]
    mask = (1 << 64) - 1
    z = (bits + (tree + 1) * 0x9E3779B97F4A7C15) & mask
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & mask
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & mask
    u = ((z ^ (z >> 31)) >> 11) / (1 << 53)
    count, term, below = 0, math.exp(-1), 0.0
    while True:
        below += term
        if u < below or count == 20:
            return count
        count += 1
        term /= count


def forest(trees, depth, min_patients, weighted=False):
    x, y = data(False)
    x = np.floor(x / 7)
    p, importances = np.zeros(ROWS), []
    for tree in range(trees):
        w = np.array([weight(f"p{i:05}", tree) for i in range(ROWS)], float)
        w = w * balanced(y) if weighted else w
        seen = w > 0
        cart = DecisionTreeClassifier(max_depth=depth, min_samples_leaf=min_patients, random_state=0)
        cart.fit(x[seen], y[seen], sample_weight=w[seen])
        p += cart.predict_proba(x)[:, 1]
        # As BaseForest.feature_importances_.
        if cart.tree_.node_count > 1:
            importances.append(cart.feature_importances_)
    mean = np.mean(importances, axis=0)
    return dict(weighted=weighted, trees=trees, depth=depth, min_patients=min_patients, probabilities=list(p / trees),
                importances=list(mean / mean.sum()))


print(json.dumps(dict(
    boosted=[boosted(False, 20, 3, 0.3, 1.0, 0.001), boosted(True, 12, 4, 0.1, 2.0, 3.0),
             boosted(False, 10, 3, 0.2, 1.0, 0.001, True)],
    forests=[forest(12, 4, 10), forest(5, 3, 40), forest(6, 4, 10, True)],
)))
