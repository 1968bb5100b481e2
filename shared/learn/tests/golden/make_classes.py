"""Goldens of several classes together: scikit-learn's averages and its figures of the class with the largest score.

Scores stand in the middle of bins of the logit, so that binning them changes nothing. Written to classes.json.
"""

import json
import pathlib

import numpy as np
from sklearn import metrics

HALF_WIDTH, BINS, CLASSES, ROWS = 12.0, 1024, 4, 260
rng = np.random.default_rng(20)
labels = rng.choice(CLASSES, ROWS, p=[0.5, 0.25, 0.15, 0.1])
# Neighbouring scores tie now and then, also for the largest one.
raw = rng.normal(0, 1.6, (ROWS, CLASSES)) + 1.8 * np.eye(CLASSES)[labels]
bins = np.clip(np.round((raw + HALF_WIDTH) / (2 * HALF_WIDTH) * 96).astype(int) * 10, 0, BINS - 1)
logits = -HALF_WIDTH + (bins + 0.5) * 2 * HALF_WIDTH / BINS
p = 1 / (1 + np.exp(-logits))
called = logits.argmax(axis=1)
truth = np.eye(CLASSES, dtype=int)[labels]
thresholds = [500, 520, 505, 515]
above = (bins >= np.array(thresholds)).astype(int)


def ece(y, p):
    at = np.minimum((p * 15).astype(int), 14)
    return sum(abs(y[at == b].mean() - p[at == b].mean()) * (at == b).mean() for b in set(at))


weights = truth.sum(axis=0) / ROWS
each = {
    "sensitivity": [metrics.recall_score(truth[:, k], above[:, k]) for k in range(CLASSES)],
    "specificity": [metrics.recall_score(1 - truth[:, k], 1 - above[:, k]) for k in range(CLASSES)],
    "brier_score_loss": [metrics.brier_score_loss(truth[:, k], p[:, k]) for k in range(CLASSES)],
    "expected_calibration_error": [ece(truth[:, k], p[:, k]) for k in range(CLASSES)],
}
means = {name: {"macro": float(np.mean(v)), "weighted": float(np.dot(weights, v))} for name, v in each.items()}
means["sensitivity"] = {
    average: metrics.recall_score(truth, above, average=average) for average in ["macro", "weighted"]
}
# Of an indicator matrix: probabilities needn't add up to 1.
means["roc_auc_score"] = {
    average: metrics.roc_auc_score(truth, p, multi_class="ovr", average=average) for average in ["macro", "weighted"]
}
means["average_precision_score"] = {
    average: metrics.average_precision_score(truth, p, average=average) for average in ["macro", "weighted"]
}
means["f1_score"] = {
    average: metrics.f1_score(truth, above, average=average) for average in ["macro", "weighted", "micro"]
}
golden = {
    "rows": [
        {"site": f"s{i % 3}", "key": f"p{i // 2}-{i % 3}", "class": int(labels[i]), "bins": bins[i].tolist()}
        for i in range(ROWS)
    ],
    "thresholds": thresholds,
    "ties": int(((logits == logits.max(axis=1, keepdims=True)).sum(axis=1) > 1).sum()),
    "confusion": metrics.confusion_matrix(labels, called).tolist(),
    "figures": {
        "accuracy_score": metrics.accuracy_score(labels, called),
        "balanced_accuracy_score": metrics.balanced_accuracy_score(labels, called),
        "f1_macro": metrics.f1_score(labels, called, average="macro"),
        "f1_weighted": metrics.f1_score(labels, called, average="weighted"),
        "cohen_kappa_score": metrics.cohen_kappa_score(labels, called),
        "matthews_corrcoef": metrics.matthews_corrcoef(labels, called),
    },
    "means": means,
}
pathlib.Path(__file__).with_name("classes.json").write_text(json.dumps(golden) + "\n")
