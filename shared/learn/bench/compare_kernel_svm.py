#!/usr/bin/env python3
"""Support vector machines made of rows beside scikit-learn's SVC, on some of the rows: AUC of five folds, and time.

    pip install numpy scikit-learn
    cargo build --release -p wardround-learn --example study_on_features
    python compare_kernel_svm.py FEATURES.npy MANIFEST.csv [--rows 2000] [--seed 1] [--c 3] [--gamma 1]

Patients are drawn by the seed until there are so many rows. Folds are dealt by each program itself, by patient, so AUCs
differ by that: scikit-learn's is the mean of five deals, with its spread. Our time is that of the whole study (five folds
nested, 16 machines), theirs of the fits of five folds, each with one thread.
"""
import csv
import os
import re
import tempfile
import time

import numpy as np
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from study import options, run


def main():
    parser = options()
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--c", type=float, default=3.0)
    parser.add_argument("--gamma", type=float, default=1.0)
    args = parser.parse_args()
    features, rows = np.load(args.features), list(csv.DictReader(open(args.manifest)))
    patients = np.array([row[args.patient] for row in rows])
    drawn = np.random.default_rng(args.seed).permutation(np.unique(patients))
    taken = np.flatnonzero(np.isin(patients, drawn[:next(n for n in range(1, len(drawn) + 1)
                                                         if np.isin(patients, drawn[:n]).sum() >= args.rows)]))
    x, rows, patients = features[taken], [rows[at] for at in taken], patients[taken]
    y = np.array([row[args.target] == args.positive for row in rows]).astype(int)
    print(f"{len(y)} rows, {y.sum()} positive", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        npy, manifest = os.path.join(folder, "x.npy"), os.path.join(folder, "manifest.csv")
        np.save(npy, x)
        with open(manifest, "w", newline="") as out:
            writer = csv.DictWriter(out, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        started = time.time()
        out = run(args, npy, manifest, f'kind = "kernel-svm"; c = [{args.c}]; gamma = [{args.gamma}]',
                  "--mode", "feature-rows", RAYON_NUM_THREADS="1")
        auc = re.search(r"used for choosing.*one list ([\d.]+)", out)[1]
        print(f"ours: AUC {auc}, whole study {time.time() - started:.1f} s;{re.search('(.*support vectors.*)', out)[1]}", flush=True)
    aucs, took = [], []
    for deal in range(5):
        scores = np.zeros(len(y))
        started = time.time()
        for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=deal).split(x, y, patients):
            scaler = StandardScaler().fit(x[train].astype(np.float64))
            model = SVC(C=args.c, gamma=args.gamma / x.shape[1], cache_size=1000).fit(scaler.transform(x[train]), y[train])
            scores[test] = model.decision_function(scaler.transform(x[test]))
        took.append(time.time() - started)
        aucs.append(roc_auc_score(y, scores))
    print(f"scikit-learn: AUC {np.mean(aucs):.4f} ({min(aucs):.4f} to {max(aucs):.4f}), five fits and scores {np.mean(took):.1f} s")


if __name__ == "__main__":
    main()
