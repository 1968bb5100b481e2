#!/usr/bin/env python3
"""Golden scores of support vector machines with a Gaussian kernel for study/machine.rs, by scikit-learn.

    pip install numpy==2.4.6 scikit-learn==1.9.1
    python make_machine.py > machine.json

The rows are those of make_logistic.py. LIBSVM keeps its kernel in single precision, so that SVC's own scores (`scores`)
miss the optimality conditions by up to 2e-5, whatever its `tol`. `exact` are the scores once that is made good: which
rows are at 0, at C and between them is SVC's, the multipliers between and the constant solve the linear equations that
then hold, in double precision; that this is the optimum is asserted.
"""
import json
import platform

import numpy as np
import sklearn
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import SVC

import make_logistic


def polished(K, y, bound, signed):
    """Scores at the optimum. A multiplier that leaves its range is put at its end and the rest solved again."""
    sign = 2.0 * y - 1
    multiplier = signed * sign
    lower, upper = multiplier <= 1e-9 * bound, multiplier >= bound * (1 - 1e-9)
    for _ in range(50):
        free = ~lower & ~upper
        fixed = np.where(upper, bound, 0.0) * sign
        n = free.sum()
        A = np.zeros((n + 1, n + 1))
        A[:n, :n], A[:n, n], A[n, :n] = K[np.ix_(free, free)], 1, 1
        solved = np.linalg.solve(A, np.append(sign[free] - K[free] @ fixed, -fixed.sum()))
        coefficients = fixed.copy()
        coefficients[free] = solved[:n]
        scores = K @ coefficients + solved[n]
        multiplier, margin = coefficients * sign, sign * scores
        wrong = [free & (multiplier < 0), free & (multiplier > bound), lower & (margin < 1 - 1e-10), upper & (margin > 1 + 1e-10)]
        if not any(one.any() for one in wrong):
            return scores
        lower, upper = (lower | wrong[0]) & ~wrong[2], (upper | wrong[1]) & ~wrong[3]
    raise AssertionError("no optimum was found")


def fit(gamma, balanced):
    def of(Z, y, C):
        model = SVC(C=C, kernel="rbf", gamma=gamma / Z.shape[1], tol=1e-9, cache_size=500,
                    class_weight="balanced" if balanced else None).fit(Z, y)
        scores = model.decision_function(Z)
        signed = np.zeros(len(y))
        signed[model.support_] = model.dual_coef_[0]
        exact = polished(rbf_kernel(Z, gamma=gamma / Z.shape[1]), y, C * model.class_weight_[y], signed)
        return {"gamma": gamma, "balanced": balanced, "scores": scores.tolist(), "exact": exact.tolist(),
                "apart": float(abs(scores - exact).max()), "vectors": int(model.n_support_.sum())}
    return of


def case(n, d, sites, salt, C, gamma, balanced=False, **kinds):
    make_logistic.fit = fit(gamma, balanced)
    return make_logistic.case(n, d, sites, salt, C, **kinds)


if __name__ == "__main__":
    cases = {
        "usual": case(300, 8, 4, 1, 1.0, 1.0),
        "stiff": case(300, 8, 4, 1, 0.1, 0.3),
        "loose": case(300, 8, 4, 1, 100.0, 1.0),
        "narrow": case(300, 8, 4, 1, 1.0, 20.0),
        "missing": case(300, 8, 4, 1, 2.0, 0.7, missing=True),
        "constant": case(300, 8, 4, 1, 2.0, 0.7, constant=True),
        "balanced": case(300, 8, 4, 2, 0.5, 1.0, balanced=True),
        "many": case(200, 90, 4, 3, 3.0, 0.5),
    }
    print(json.dumps({"scikit-learn": sklearn.__version__, "numpy": np.__version__, "python": platform.python_version(),
                      "cases": cases}, indent=1))
