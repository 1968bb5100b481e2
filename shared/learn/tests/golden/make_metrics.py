"""Writes metrics.json: raw scores of made-up patients, and what scikit-learn, statsmodels, fairlearn, dcurves and the
definitions of DeLong and Obuchowski (pairs of rows, no histogram) say about them.

    pip install numpy scipy scikit-learn statsmodels fairlearn dcurves
    python make_metrics.py
"""

import importlib.metadata
import json
import pathlib
import platform

import dcurves
import fairlearn
import numpy as np
import pandas
import scipy
import scipy.stats
import sklearn
import sklearn.metrics as sk
import statsmodels
import statsmodels.api as sm
from fairlearn.metrics import selection_rate
from sklearn.calibration import calibration_curve
from statsmodels.stats.proportion import proportion_confint

HALF_WIDTH, COUNT, CALIBRATION_BINS = 12.0, 1024, 15
WIDTH = 2 * HALF_WIDTH / COUNT


def bins_of(logit):
    return np.clip(np.floor((logit + HALF_WIDTH) / WIDTH), 0, COUNT - 1).astype(int)


def kernel(positive, negative):
    """psi of every pair: 1 where the positive row scores higher, 1/2 where equal."""
    gap = np.subtract.outer(positive, negative)
    return (gap > 0) + 0.5 * (gap == 0)


def delong(score, label):
    """DeLong 1988: variances of the rows' placement values."""
    psi = kernel(score[label == 1], score[label == 0])
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    return v10.var(ddof=1) / len(v10) + v01.var(ddof=1) / len(v01)


def obuchowski(score, label, patient):
    """Obuchowski 1997, section 2, patient by patient; with the paper's I, all patients."""
    psi = kernel(score[label == 1], score[label == 0])
    auc = psi.mean()
    m_all, n_all = psi.shape
    v10, v01 = psi.mean(axis=1), psi.mean(axis=0)
    of_positive, of_negative = patient[label == 1], patient[label == 0]
    s10 = s01 = s11 = 0.0
    with_positive = with_negative = 0
    for one in np.unique(patient):
        a = v10[of_positive == one]
        b = v01[of_negative == one]
        from_positive, from_negative = a.sum() - len(a) * auc, b.sum() - len(b) * auc
        s10 += from_positive**2
        s01 += from_negative**2
        s11 += from_positive * from_negative
        with_positive += len(a) > 0
        with_negative += len(b) > 0
    patients = len(np.unique(patient))
    big_s10 = with_positive / ((with_positive - 1) * m_all) * s10
    big_s01 = with_negative / ((with_negative - 1) * n_all) * s01
    big_s11 = patients / (patients - 1) * s11
    variance = big_s10 / m_all + big_s01 / n_all + 2 * big_s11 / (m_all * n_all)
    return {
        "patients": int(patients),
        "with_positive": int(with_positive),
        "with_negative": int(with_negative),
        "s10": s10,
        "s01": s01,
        "s11": s11,
        "variance": variance,
    }


def logit_interval(auc, variance):
    z = scipy.stats.norm.ppf(0.975)
    half = z * np.sqrt(variance) / (auc * (1 - auc))
    return [float(scipy.special.expit(scipy.special.logit(auc) + s * half)) for s in (-1, 1)]


def calls(label, called):
    tn, fp, fn, tp = (int(v) for v in sk.confusion_matrix(label, called, labels=[0, 1]).ravel())
    return {
        "tp": tp,
        "fp": fp,
        "tn": tn,
        "fn": fn,
        "sensitivity": sk.recall_score(label, called),
        "specificity": sk.recall_score(label, called, pos_label=0),
        "ppv": sk.precision_score(label, called),
        "npv": sk.precision_score(label, called, pos_label=0),
        "accuracy": sk.accuracy_score(label, called),
        "balanced_accuracy": sk.balanced_accuracy_score(label, called),
        "f1": sk.f1_score(label, called),
        "matthews": sk.matthews_corrcoef(label, called),
        "kappa": sk.cohen_kappa_score(label, called),
        "lift": sk.precision_score(label, called) / label.mean(),
        "selection_rate": selection_rate(label, called),
    }


def line(logit, label):
    """Logistic regression of the label on the logit, and with the slope held at 1."""
    family = sm.families.Binomial()
    free = sm.GLM(label, sm.add_constant(logit), family=family).fit(tol=1e-14, maxiter=200)
    held = sm.GLM(label, np.ones((len(label), 1)), family=family, offset=logit)
    return {
        "intercept": float(free.params[0]),
        "slope": float(free.params[1]),
        "in_the_large": float(held.fit(tol=1e-14, maxiter=200).params[0]),
    }


def calibration(label, mean_y, mean_p, rows):
    """By the definitions, bin by bin; a binomial's mean deviation from its probabilities."""
    share = rows / rows.sum()
    deviation = []
    for n, p in zip(rows, mean_p):
        k = np.arange(n + 1)
        deviation.append((scipy.stats.binom.pmf(k, n, p) * np.abs(k / n - p)).sum())
    return {
        "maximum": float(np.abs(mean_y - mean_p).max()),
        "if_calibrated": float((share * deviation).sum()),
        "reliability": float((share * (mean_y - mean_p) ** 2).sum()),
        "resolution": float((share * (mean_y - label.mean()) ** 2).sum()),
        "uncertainty": float(label.mean() * (1 - label.mean())),
    }


def net_benefit(label, probability):
    """dcurves' decision curve at the lower ends of the calibration bins."""
    cuts = np.arange(1, CALIBRATION_BINS) / CALIBRATION_BINS
    frame = pandas.DataFrame({"y": label, "p": probability})
    found = dcurves.dca(data=frame, outcome="y", modelnames=["p"], thresholds=cuts)
    of = lambda model: found[found["model"] == model]["net_benefit"].tolist()
    return {"model": of("p"), "all": of("all")}


def thresholds(binned, label):
    """By trying every bin: Youden (lowest of equals), sensitivity and specificity of at least .9."""
    hit = [(binned[label == 1] >= t).sum() for t in range(COUNT)]
    passed = [(binned[label == 0] < t).sum() for t in range(COUNT)]
    positives, negatives = int((label == 1).sum()), int((label == 0).sum())
    youden = [h * negatives + p * positives for h, p in zip(hit, passed)]
    return {
        "youden": int(np.argmax(youden)),
        "sensitivity_90": max(t for t in range(COUNT) if 10 * hit[t] >= 9 * positives),
        "specificity_90": min(t for t in range(COUNT) if 10 * passed[t] >= 9 * negatives),
    }


def case(name, logit, label, patient):
    binned = bins_of(logit)
    probability = scipy.special.expit(logit)
    fpr, tpr, _ = sk.roc_curve(label, binned, drop_intermediate=False)
    mean_y, mean_p = calibration_curve(label, probability, n_bins=CALIBRATION_BINS)
    held = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    rows = np.bincount(held, minlength=CALIBRATION_BINS)
    rows = rows[rows > 0]
    clustered = obuchowski(binned, label, patient)
    auc = sk.roc_auc_score(label, binned)
    cut = thresholds(binned, label)
    return {
        "name": name,
        "logit": logit.tolist(),
        "label": label.tolist(),
        "patient": patient.tolist(),
        "roc_auc": auc,
        "average_precision": sk.average_precision_score(label, binned),
        "roc_auc_unbinned": sk.roc_auc_score(label, logit),
        "roc_curve": np.stack([fpr, tpr], axis=1).tolist(),
        "delong": delong(binned, label),
        "obuchowski": clustered,
        "auc_interval": logit_interval(auc, clustered["variance"]),
        "brier_score_loss": sk.brier_score_loss(label, probability),
        "log_loss": sk.log_loss(label, probability),
        "ece": float((rows * np.abs(mean_y - mean_p)).sum() / rows.sum()),
        "reliability": {
            "rows": rows.tolist(),
            "mean_y": mean_y.tolist(),
            "mean_score": mean_p.tolist(),
        },
        "calibration": calibration(label, mean_y, mean_p, rows),
        "line": line((binned + 0.5) * WIDTH - HALF_WIDTH, label),
        "line_unbinned": line(logit, label),
        "net_benefit": net_benefit(label, probability),
        "thresholds": cut,
        "at_half": calls(label, (probability >= 0.5).astype(int)),
        "at_youden": calls(label, (binned >= cut["youden"]).astype(int)),
    }


def draw(rng, labels_of, effect, correlation, scale=1.0, step=None):
    """Rows of patients whose scores share a patient effect; rounded to `step` to make ties."""
    logit, label, patient = [], [], []
    for one, labels in enumerate(labels_of):
        shared = rng.normal()
        for y in labels:
            own = rng.normal()
            noise = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * own
            logit.append(scale * (noise + effect * y - 1.0))
            label.append(y)
            patient.append(one)
    logit = np.array(logit)
    if step:
        logit = np.round(logit / step) * step
    # Nine decimals: as exact in the file as here.
    return np.round(logit, 9), np.array(label), np.array(patient)


def main():
    rng = np.random.default_rng(20240607)
    single = [[int(rng.random() < 0.3)] for _ in range(250)]
    small = [[int(rng.random() < 0.5)] for _ in range(60)]
    pure = [[int(rng.random() < 0.4)] * int(rng.integers(1, 5)) for _ in range(80)]
    mixed = [[0] * int(rng.integers(1, 4)) + [1] * int(rng.integers(1, 3)) for _ in range(50)]
    some = [[int(v) for v in rng.random(int(rng.integers(1, 5))) < 0.35] for _ in range(80)]
    cases = [
        case("one-row-per-patient", *draw(rng, single, 1.2, 0.0)),
        case("ties", *draw(rng, small, 1.0, 0.0, step=0.5)),
        case("over-confident", *draw(rng, single, 1.5, 0.0, scale=6.0)),
        case("patients-of-one-class", *draw(rng, pure, 1.0, 0.6)),
        case("patients-of-both-classes", *draw(rng, mixed, 1.0, 0.6)),
        case("some-patients-of-both", *draw(rng, some, 0.8, 0.6, scale=2.0)),
    ]
    sites = {"sites": ["patients-of-one-class", "ties", "over-confident"]}
    chosen = [next(c for c in cases if c["name"] == name) for name in sites["sites"]]
    pairs = np.array([sum(c["label"]) * (len(c["label"]) - sum(c["label"])) for c in chosen])
    weights = pairs / pairs.sum()
    sites["auc_within_sites"] = float((weights * [c["roc_auc"] for c in chosen]).sum())
    sites["variance"] = float((weights**2 * [c["obuchowski"]["variance"] for c in chosen]).sum())
    label = np.concatenate([c["label"] for c in chosen])
    prevalence = np.concatenate([[np.mean(c["label"])] * len(c["label"]) for c in chosen])
    sites["site_only_auc"] = sk.roc_auc_score(label, prevalence)
    all_bins = np.concatenate([bins_of(np.array(c["logit"])) for c in chosen])
    sites["one_list_auc"] = sk.roc_auc_score(label, all_bins)
    wilson = []
    for k, n in [(0, 1), (1, 1), (0, 12), (3, 12), (12, 12), (85, 100), (1, 1000), (4999, 10000)]:
        low, high = proportion_confint(k, n, alpha=0.05, method="wilson")
        wilson.append({"k": k, "n": n, "low": float(low), "high": float(high)})
    document = {
        "made_with": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
            "statsmodels": statsmodels.__version__,
            "fairlearn": fairlearn.__version__,
            "dcurves": importlib.metadata.version("dcurves"),
        },
        "bins": {"half_width": HALF_WIDTH, "count": COUNT},
        "cases": cases,
        "sites": sites,
        "wilson": wilson,
    }
    path = pathlib.Path(__file__).with_name("metrics.json")
    path.write_text(json.dumps(document, separators=(",", ":")).replace('{"name"', '\n{"name"') + "\n")


if __name__ == "__main__":
    main()
