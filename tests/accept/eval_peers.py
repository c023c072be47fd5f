#!/usr/bin/python3
"""Helper of test_eval_peers.sh: what scikit-learn says of the data sets.

eval_peers.py --check        is scikit-learn here?
eval_peers.py FILE...        prints DATASET TAB METRIC TAB VALUE TAB SOURCE, names as in eval_probe.c
eval_peers.py --compare OURS PEERS...
                             prints the largest deviation of every metric; exit status 1 when one is
                             over its bound, or a number has no peer
"""
import csv
import math
import os
import re
import sys
from fractions import Fraction

LIMIT = 1e-9  # relative; absolute below FLOOR
FLOOR = 1e-4


def read(path):
    with open(path, newline="", encoding="utf-8") as f:
        rows = list(csv.DictReader(f))
    return {k: [float(r[k]) for r in rows] for k in rows[0]}


def evaluate(path):
    import numpy as np
    from sklearn import metrics
    from sklearn.calibration import calibration_curve
    from sklearn.isotonic import IsotonicRegression

    name = os.path.basename(path)[: -len(".csv")]
    d = {k: np.array(v) for k, v in read(path).items()}
    weighted = bool((d["w"] != 1).any())

    def line(metric, value):
        value = float(value)
        shown = "NA" if math.isnan(value) else repr(value)
        print(f"{name}\t{metric}\t{shown}\tscikit-learn")

    for w in [False, True] if weighted else [False]:
        keep = d["w"] > 0 if w else d["w"] >= 0
        y, a = d["y"][keep], d["a"][keep]
        weight = d["w"][keep] if w else None
        at = "w." if w else ""
        line(at + "auc", metrics.roc_auc_score(y, a, sample_weight=weight))
        line(at + "pauc_10", metrics.roc_auc_score(y, a, max_fpr=0.1, sample_weight=weight))
        line(at + "ap", metrics.average_precision_score(y, a, sample_weight=weight))
        line(at + "brier", metrics.brier_score_loss(y, a, sample_weight=weight))
        line(at + "log_loss", metrics.log_loss(y, a, eps=1e-7, sample_weight=weight))
        fpr, tpr, threshold = metrics.roc_curve(y, a, sample_weight=weight, drop_intermediate=False)
        line(at + "roc.n", len(fpr))
        for i in range(1, len(fpr), 1 + len(fpr) // 200):
            line(f"{at}roc.threshold[{i}]", threshold[i])
            line(f"{at}roc.fpr[{i}]", fpr[i])
            line(f"{at}roc.tpr[{i}]", tpr[i])
        for target in (50, 80, 90, 95, 97):
            k = max(i for i in range(len(fpr)) if at_least(1 - fpr[i], target))
            line(f"{at}at_spec.sens[{target}]", tpr[k])
            line(f"{at}at_spec.spec[{target}]", 1 - fpr[first_with(tpr, tpr[k], fpr, target)])
            k = min(i for i in range(len(fpr)) if at_least(tpr[i], target))
            line(f"{at}at_sens.spec[{target}]", 1 - fpr[k])
            line(f"{at}at_sens.sens[{target}]", tpr[k])
            line(f"{at}at_sens.threshold[{target}]", threshold[k])
        # scikit-learn joins risks that are closer than its resolution
        if (np.diff(np.unique(a)) > 1e-14).all():
            isotonic = IsotonicRegression(out_of_bounds="clip").fit(a, y, sample_weight=weight)
            for i, p in enumerate(isotonic.predict(np.arange(41) / 40)):
                line(f"{at}isotonic[{i}]", p)
        edges = (a * 10 == np.round(a * 10)).any()
        if not w and not edges:  # scikit-learn's bins are closed on the other side
            rate, mean = calibration_curve(y, a, n_bins=10)
            filled = sorted(set(np.minimum((a * 10).astype(int), 9)))
            for g, r, m in zip(filled, rate, mean):
                line(f"width.rate[{g}]", r)
                line(f"width.mean[{g}]", m)


def at_least(share, percent):
    """Shares are ratios of counts or of small weights: a share that is equal on paper is equal."""
    return share >= float(Fraction(percent, 100)) - 1e-12


def first_with(tpr, best, fpr, target):
    """The lowest threshold that keeps the specificity; its sensitivity is the best one."""
    k = max(i for i in range(len(fpr)) if at_least(1 - fpr[i], target))
    assert tpr[k] == best
    return k


def compare(ours_path, peer_paths):
    ours = {}
    with open(ours_path, encoding="utf-8") as f:
        for text in f:
            name, metric, value = text.rstrip("\n").split("\t")
            ours[name, metric] = value
    worst, missing, seen, bad = {}, [], set(), []
    for path in peer_paths:
        with open(path, encoding="utf-8") as f:
            for text in f:
                name, metric, value, source, *tolerance = text.rstrip("\n").split("\t")
                key = name, metric
                if key not in ours:
                    missing.append((key, source))
                    continue
                seen.add(key)
                kind = re.sub(r"\[.*", "", metric)
                row = worst.setdefault((kind, source, bool(tolerance)), [0, 0])
                got = deviation(ours[key], value, tolerance)
                row[0] += 1
                row[1] = max(row[1], got)
                if got > 1:
                    bad.append((kind, name, metric, ours[key], source, value))
    for (kind, source, stated), (count, most) in sorted(worst.items()):
        unit = "of the stated tolerance" if stated else ""
        shown = most if stated else most * LIMIT
        said = f"{kind:26s} {source:15s} {count:6d} values, max deviation {shown:9.2e} {unit}"
        print(said.rstrip())
    lonely = sorted(set(ours) - seen)
    for row in bad[:60]:
        print("deviates: {0} in {1} {2}: {3}, {4} has {5}".format(*row))
    for (name, metric), source in missing[:20]:
        print(f"missing: {name} {metric}, which {source} has")
    for name, metric in lonely[:20]:
        print(f"no peer: {name} {metric}")
    print(f"{sum(r[0] for r in worst.values())} comparisons, {len(bad)} deviate,"
          f" {len(missing)} missing, {len(lonely)} without a peer")
    return not (bad or missing or lonely) and bool(seen)


def deviation(a, b, tolerance):
    """As a multiple of what is allowed."""
    if a == "NA" or b == "NA":
        return 0 if a == b else math.inf
    x, y = float(a), float(b)
    if math.isinf(x) or math.isinf(y):
        return 0 if x == y else math.inf
    allowed = float(tolerance[0]) if tolerance else LIMIT * max(abs(y), FLOOR)
    return abs(x - y) / allowed if allowed else (0 if x == y else math.inf)


def main():
    words = sys.argv[1:]
    if words == ["--check"]:
        import sklearn  # noqa: F401

        return 0
    if words and words[0] == "--compare":
        return 0 if compare(words[1], words[2:]) else 1
    for path in words:
        evaluate(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
