"""Makes rows.json: what rows/golden.rs compares answers from rows in memory with.

    pip install numpy==2.4.6 scikit-learn==1.9.1
    python make_rows.py > rows.json

Folds come from an HMAC written here anew, sums from numpy, scalers, AUC, Brier score and log loss
from scikit-learn.
"""

import hashlib
import hmac
import json

import numpy as np
import sklearn
from sklearn.impute import SimpleImputer
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

SEED, FOLDS, REPEATS, D = 20240, 4, 2, 5
rng = np.random.default_rng(7)


def bits(purpose, *parts):
    mac = hmac.new(SEED.to_bytes(8, "little"), digestmod=hashlib.sha256)
    for part in (purpose.encode(), *parts):
        mac.update(len(part).to_bytes(8, "little"))
        mac.update(part)
    return int.from_bytes(mac.digest()[:8], "little")


def population():
    """Rows (site, key, class, features); a third of the patients has several rows, some in two classes."""
    rows = []
    for site, patients in [("berlin", 23), ("lyon", 31), ("oslo", 17)]:
        shift = rng.normal(size=D)
        for patient in range(patients):
            for _ in range(int(rng.choice([1, 1, 2, 3]))):
                kind = int(rng.random() < 0.35)
                x = rng.normal(size=D) * [1, 2, 0.5, 3, 1] + shift + 0.5 * kind
                x[rng.random(D) < 0.08] = np.nan
                if site == "lyon":
                    x[4] = 2.5  # constant at one site
                rows.append((site, f"p{patient}", kind, x))
    return rows


def deal(rows, repeat):
    fold = np.zeros(len(rows), int)
    for site in sorted({r[0] for r in rows}):
        classes = {}
        for s, key, kind, _ in rows:
            if s == site:
                classes.setdefault(key, set()).add(kind)
        frequency = {c: sum(c in of for of in classes.values()) for c in (0, 1)}
        stratum = {k: min(of, key=lambda c: (frequency[c], c)) for k, of in classes.items()}
        for s in (0, 1):
            members = [k for k in classes if stratum[k] == s]
            members.sort(key=lambda k: bits("folds", bytes([repeat]), b"clinic", k.encode()))
            first = bits("first fold", site.encode(), bytes([s]), bytes([repeat])) % FOLDS
            for turn, key in enumerate(members):
                for i, r in enumerate(rows):
                    if r[0] == site and r[1] == key:
                        fold[i] = (first + turn) % FOLDS
    return fold


def triangle(matrix):
    return matrix[np.triu_indices(len(matrix))].tolist()


def logistic(x, y, weights, intercept):
    """Loss, gradient and Hessian by weights and constant."""
    x1 = np.c_[x, np.ones(len(x))]
    t = x1 @ np.r_[weights, intercept]
    p = 1 / (1 + np.exp(-t))
    loss = np.logaddexp(0, np.where(y == 1, -t, t)).sum()
    hessian = (x1 * (p * (1 - p))[:, None]).T @ x1
    return {"loss": loss, "gradient": (x1.T @ (p - y)).tolist(), "hessian": triangle(hessian)}


def own_site(x, site, train):
    """Every row standardised by its site's training rows; missing becomes the mean; constant is 0."""
    out = np.full_like(x, np.nan)
    for s in np.unique(site):
        here = site == s
        # A column's deviation is that of the values it has, so the scaler comes first.
        pipe = make_pipeline(StandardScaler(), SimpleImputer()).fit(x[here & train])
        out[here] = pipe.transform(x[here])
        out[np.ix_(here, pipe[0].var_ == 0)] = 0
    return out


def judge(t, y, patient):
    p = 1 / (1 + np.exp(-t))
    half_width, count = 8.0, 4096
    bin_ = np.clip(np.floor((t + half_width) / (2 * half_width / count)), 0, count - 1).astype(int)
    positives = np.bincount(bin_[y == 1], minlength=count)
    negatives = np.bincount(bin_[y == 0], minlength=count)
    n1, n0 = positives.sum(), negatives.sum()
    above = (np.cumsum(negatives) - negatives / 2) / n0
    below = (n1 - np.cumsum(positives) + positives / 2) / n1
    auc = float(above[bin_[y == 1]].mean())
    s10 = s01 = s11 = 0.0
    for who in np.unique(patient):
        a = (above[bin_[(patient == who) & (y == 1)]] - auc).sum()
        b = (below[bin_[(patient == who) & (y == 0)]] - auc).sum()
        s10, s01, s11 = s10 + a * a, s01 + b * b, s11 + a * b
    slot = np.minimum((p * 15).astype(int), 14)
    return {
        "half_width": half_width,
        "bins": count,
        "auc": roc_auc_score(y, t),
        "brier": brier_score_loss(y, p) * len(y),
        "log_loss": log_loss(y, p) * len(y),
        "calibration_rows": [[int(((slot == i) & (y == c)).sum()) for c in (0, 1)] for i in range(15)],
        "calibration_scores": [float(p[slot == i].sum()) for i in range(15)],
        "binned_auc": auc,
        "patients": [len(np.unique(patient[y == 1])), len(np.unique(patient[y == 0]))],
        "s10": s10,
        "s01": s01,
        "s11": s11,
    }


def scored():
    """Many rows of one feature, which is their logit."""
    patient = rng.integers(0, 900, size=2000)
    y = (rng.random(2000) < 0.3).astype(int)
    t = np.round(rng.normal(size=2000) + 1.1 * y - 1 + 0.4 * rng.normal(size=900)[patient], 6)
    return {"patient": patient.tolist(), "class": y.tolist(), "logit": t.tolist(), **judge(t, y, patient)}


rows = population()
site = np.array([r[0] for r in rows])
y = np.array([r[2] for r in rows])
x = np.array([r[3] for r in rows])
folds = [deal(rows, repeat) for repeat in range(REPEATS)]
train = folds[1] != 2
center, scale = np.round(np.nanmean(x, 0), 3), np.round(np.nanstd(x, 0), 3)
z = (x - center) / scale
weights, intercept = rng.normal(size=D), 0.3
fill = np.nanmean(z[train], 0)
complete = np.where(np.isnan(z), fill, z)
padded = np.c_[np.nan_to_num(z), np.ones(len(z))]
standard = own_site(x, site, train)
standard1 = np.c_[standard, np.ones(len(z))]
names = sorted(set(site))

json.dump(
    {
        "numpy": np.__version__,
        "scikit_learn": sklearn.__version__,
        "seed": SEED,
        "folds": FOLDS,
        "repeats": REPEATS,
        "rows": [
            {"site": s, "key": k, "class": c, "features": [None if np.isnan(v) else v for v in f]}
            for s, k, c, f in rows
        ],
        "dealt": [f.tolist() for f in folds],
        "center": center.tolist(),
        "scale": scale.tolist(),
        "weights": weights.tolist(),
        "intercept": intercept,
        "fill": fill.tolist(),
        "n": [(~np.isnan(z[site == s])).sum(0).tolist() for s in names],
        "sum": [np.nansum(z[site == s], 0).tolist() for s in names],
        "squares": [np.nansum(z[site == s] ** 2, 0).tolist() for s in names],
        "gram": triangle(padded[train].T @ padded[train]),
        "gram_own_site": triangle(standard1[train].T @ standard1[train]),
        "folded": logistic(complete[train], y[train], weights, intercept),
        "own_site": logistic(standard[train], y[train], weights, intercept),
        "logits_folded": (complete @ weights + intercept).tolist(),
        "logits_own_site": (standard @ weights + intercept).tolist(),
        "scored": scored(),
    },
    fp=__import__("sys").stdout,
)
