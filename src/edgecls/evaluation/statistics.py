"""How sure a figure is: intervals and tests, all from published methods.

They are written out, and tested against scipy and statsmodels: measuring should not need 150 MB for two distributions.
"""

from __future__ import annotations

import math
import statistics

import numpy as np

from edgecls.records.accuracy import Calibration, CalibrationBin
from edgecls.records.interval import Interval

CONFIDENCE = 0.95
_BINS = 15  # as in Guo et al. 2017


def wilson_interval(hits: float, images: int, confidence: float = CONFIDENCE) -> Interval:
    """Wilson score interval of a share of hits (Wilson 1927).

    A tie counts as part of a hit; for whole hits this is scipy's `binomtest(...).proportion_ci(method="wilson")`.

    Args:
        hits: 0..images.
    """
    z = statistics.NormalDist().inv_cdf(0.5 + confidence / 2)
    share, weight = hits / images, z * z / images
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / images + weight / (4 * images))
    return Interval(low=max(0.0, centre - half), high=min(1.0, centre + half), confidence=confidence)


def mcnemar_p(lost: int, gained: int) -> float:
    """Exact two-sided p-value of McNemar's paired test: is an image that only one of two artifacts has right as likely to be either's?

    Twice the smaller tail of a fair binomial distribution, counted in whole numbers.
    """
    images, ways, tail = lost + gained, 1, 0
    for chosen in range(min(lost, gained) + 1):
        tail += ways
        ways = ways * (images - chosen) // (chosen + 1)
    return min(1.0, 2 * tail / 2**images)


def calibration_of(confidence: np.ndarray, hits: np.ndarray) -> Calibration:
    """Expected calibration error over bins of equal width (Guo et al. 2017); the last bin includes 1.

    Args:
        confidence: highest probability of each image, float [N], 0..1.
        hits: share of a hit of each image, float [N].
    """
    bins = np.minimum((confidence * _BINS).astype(np.int64), _BINS - 1)
    images = np.bincount(bins, minlength=_BINS)
    counted = np.maximum(images, 1)
    mean_confidence = np.bincount(bins, confidence, _BINS) / counted
    accuracy = np.bincount(bins, hits, _BINS) / counted
    ece = float((np.abs(accuracy - mean_confidence) * images).sum() / max(images.sum(), 1))
    rows = zip(images.tolist(), mean_confidence.tolist(), accuracy.tolist(), strict=True)
    return Calibration(ece=ece, bins=[CalibrationBin(images=n, confidence=c, accuracy=a) for n, c, a in rows])
