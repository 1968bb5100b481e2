#!/usr/bin/env python3
"""Golden adjusted features and coefficients for combat.rs and study/golden.rs, by neuroCombat and
scikit-learn.

    pip install scikit-learn==1.9.1 pandas neuroCombat==0.2.12
    python make_combat.py > combat.json

The rows are those of make_logistic.py. neuroCombat ends its iteration where nothing moves by more than
1e-4; here it goes on to 1e-14. What it gives back is in the features' own units; models see it less the
mean of all rows, divided by the deviation within sites, pooled.
"""
import contextlib
import io
import json
import platform
import sys

import numpy as np
import pandas as pd
import sklearn
import neuroCombat.neuroCombat  # noqa: F401 (a function of the same name hides the module)

import make_logistic

module = sys.modules["neuroCombat.neuroCombat"]
module.it_sol.__defaults__ = (1e-14,)


def adjusted(X, site):
    with contextlib.redirect_stdout(io.StringIO()):
        data = module.neuroCombat(dat=X.T, covars=pd.DataFrame({"site": site}), batch_col="site")["data"].T
    within = sum(((X[site == s] - X[site == s].mean(axis=0)) ** 2).sum(axis=0) for s in set(site))
    mean, deviation = X.mean(axis=0), np.sqrt(within / len(X))
    return mean, deviation, (data - mean) / deviation


def case(n, d, sites, salt, C):
    X, y, site = make_logistic.lines(n, d, sites, salt)
    mean, deviation, Z = adjusted(X, site)
    return {"n": n, "d": d, "sites": sites, "salt": salt, "C": C, "standardise": "combat", "missing": False,
            "constant": False, "mean": mean.tolist(), "deviation": deviation.tolist()} | make_logistic.fit(Z, y, C)


def features(n, d, sites, salt):
    X, _, site = make_logistic.lines(n, d, sites, salt)
    return {"features": X.tolist(), "site": site.tolist(), "adjusted": adjusted(X, site)[2].tolist()}


if __name__ == "__main__":
    cases = {"few": case(300, 8, 4, 2, 2.0), "many": case(400, 90, 4, 4, 0.1)}
    print(json.dumps({"neuroCombat": "0.2.12", "scikit-learn": sklearn.__version__, "numpy": np.__version__,
                      "python": platform.python_version(), "cases": cases,
                      "features": features(60, 7, 3, 5)}, indent=1))
