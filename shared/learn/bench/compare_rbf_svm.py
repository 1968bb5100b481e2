#!/usr/bin/env python3
"""Support vector machines with a Gaussian kernel beside scikit-learn's SVC: AUC on the same rows and folds.

    pip install numpy scikit-learn
    cargo build --release -p wardround-learn --example study_on_features
    python compare_rbf_svm.py FEATURES.npy MANIFEST.csv [--target diagnosis] [--positive mel]
        [--patient lesion_id] [--folds 5] [--seeds 3] [--ours 0.1,0.25] [--theirs 0.1,0.25 1,2]

Each pair is C and gamma, gamma in units of gamma="scale". SVC has the hinge loss and the exact kernel, ours the squared hinge and 4,096
components, so the C that suits one doesn't suit the other: give each the one that suits it. Rows are standardised by the training
folds. The kernel is computed once per fold and handed over as kernel="precomputed", which is the same machine and saves time.
"""
import csv
import os
import re
import tempfile

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from study import options, run


def pair(text):
    return tuple(float(part) for part in text.split(","))


def main():
    parser = options()
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--components", type=int, default=4096)
    parser.add_argument("--ours", type=pair, nargs="+", default=[(0.1, 0.25)])
    parser.add_argument("--theirs", type=pair, nargs="+", default=[(0.1, 0.25), (1.0, 2.0), (3.0, 1.0), (10.0, 0.5)])
    args = parser.parse_args()
    x, rows = np.load(args.features).astype(np.float64), list(csv.DictReader(open(args.manifest)))
    y = np.array([row[args.target] == args.positive for row in rows]).astype(int)
    aucs = {}

    def note(who, point, auc):
        aucs.setdefault((who, point), []).append(auc)
        print(f"{who}, C = {point[0]:g}, gamma = {point[1]:g}: {auc:.4f}", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        column = os.path.join(folder, "folds.txt")
        for seed in range(1, args.seeds + 1):
            for C, gamma in args.ours:
                out = run(args, args.features, args.manifest,
                          f'kind = "rbf-svm"; c = [{C}]; gamma = [{gamma}]; components = {args.components}',
                          "--folds", str(args.folds), "--seed", str(seed), "--fold-column", column)
                note("ours", (C, gamma), float(re.search(r"used for choosing.*one list ([\d.]+)", out)[1]))
                print(re.search(r"Cost \{.*\}", out)[0], out.strip().splitlines()[-1], flush=True)
            fold = np.loadtxt(column, dtype=int)
            scores = {point: np.zeros(len(y)) for point in args.theirs}
            for k in range(args.folds):
                train, test = fold != k, fold == k
                scaler = StandardScaler().fit(x[train])
                a, b = scaler.transform(x[train]), scaler.transform(x)
                apart = (b ** 2).sum(1)[:, None] + (a ** 2).sum(1)[None] - 2 * b @ a.T
                for C, gamma in args.theirs:
                    kernel = np.exp(-gamma / x.shape[1] * apart)
                    model = SVC(C=C, kernel="precomputed", cache_size=1000).fit(kernel[train], y[train])
                    scores[C, gamma][test] = model.decision_function(kernel[test])
            for point, values in scores.items():
                note("scikit-learn", point, roc_auc_score(y, values))
    for (who, point), values in aucs.items():
        print(f"{who}, C = {point[0]:g}, gamma = {point[1]:g}: AUC {np.mean(values):.4f} (mean of {len(values)} deals of folds)")


if __name__ == "__main__":
    main()
