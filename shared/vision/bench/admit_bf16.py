#!/usr/bin/env python3
"""May a backbone compute in bfloat16? Real weights decide, on real images.

    pip install numpy scikit-learn
    python shared/vision/bench/admit_bf16.py efficientnet_lite0 [--data ../shared/data/ham10000]

Extracts the features of all images twice, in f32 and in bf16, by the crate's `extract` example. Admitted is a backbone whose two
feature vectors of the worst image have a cosine of at least 0.9995, and whose logistic regression (melanoma against the rest,
standardised features, C = .001, 5 folds grouped by lesion, out of fold, one list) moves its AUC by less than 0.002. Backbones that
pass are marked in their family's file (`admit_bf16`). Features of different images are alike, which flatters a cosine: it is shown
after subtracting the mean feature, too.
"""
import argparse
import csv
import os
import subprocess
import sys
import tempfile

import numpy as np

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
COSINE, MOVE = 0.9995, 0.002


def extract(backbone, images, precision):
    with tempfile.TemporaryDirectory() as folder:
        file = os.path.join(folder, "features")
        command = ["cargo", "run", "--quiet", "--release", "-p", "wardround-vision", "--example", "extract", "--", images,
                   str(2**31), backbone]
        env = {**os.environ, "WARDROUND_FEATURES": file, "WARDROUND_PRECISION": precision}
        subprocess.run(command, cwd=ROOT, check=True, env=env, stdout=sys.stderr)
        count = len(os.listdir(images))
        return np.fromfile(file, "<f4").reshape(count, -1)


def cosines(a, b):
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def auc(x, y, groups):
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.001, max_iter=2000, tol=1e-8))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(model, x, y, groups=groups, cv=folds, method="decision_function")
    return roc_auc_score(y, scores)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbones", nargs="+", metavar="BACKBONE", help="names as `wardround-site backbones` lists them")
    parser.add_argument("--data", default=os.path.join(ROOT, "..", "shared", "data", "ham10000"))
    arguments = parser.parse_args()
    data = os.path.abspath(arguments.data)
    images = os.path.join(data, "images")
    with open(os.path.join(data, "manifest.csv"), encoding="utf-8") as file:
        rows = {os.path.basename(row["path"]): row for row in csv.DictReader(file)}
    rows = [rows[name] for name in sorted(os.listdir(images))]
    y = np.array([row["diagnosis"] == "mel" for row in rows])
    groups = np.array([row["lesion_id"] for row in rows])
    refused = 0
    for backbone in arguments.backbones:
        full, half = (extract(backbone, images, precision).astype("f8") for precision in ("f32", "bf16"))
        cosine, middle = cosines(full, half), full.mean(0)
        centred = cosines(full - middle, half - middle)
        aucs = auc(full, y, groups), auc(half, y, groups)
        admitted = cosine.min() >= COSINE and abs(aucs[1] - aucs[0]) < MOVE
        refused += not admitted
        print(
            f"{backbone}: {len(rows)} images; cosine worst {cosine.min():.6f}, mean {cosine.mean():.6f}, about the mean feature "
            f"worst {centred.min():.5f}; AUC f32 {aucs[0]:.4f}, bf16 {aucs[1]:.4f} ({aucs[1] - aucs[0]:+.4f}): "
            f"{'admitted' if admitted else 'not admitted'}", flush=True)
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
