"""How large a drop of a share is at least, when the images are taken as a sample of those to come.

Without SciPy: the gate starts in a fraction of the time that its import takes.
"""

from __future__ import annotations

import math
import statistics

from edgecls.evaluation.statistics import wilson_interval

_STEPS = 60  # halvings of 0..1: more than a float holds


def paired_drop(lost: int, gained: int, images: int, confidence: float) -> float:
    """Lower bound of the drop of accuracy between two artifacts that were asked the same images.

    Given that `lost + gained` images changed sides, `lost` is binomial; the exact (Clopper-Pearson) lower bound p of its share gives
    `(2 p - 1) (lost + gained) / images`. It is above zero exactly where McNemar's exact test, one-sided, finds a drop.

    Args:
        lost, gained: images that were right before only, and that are right now only.
        confidence: one-sided, 0.5 to below 1.

    Returns:
        Share of the images; negative where no drop is shown.
    """
    changed = lost + gained
    if not changed:
        return 0.0
    return (2 * _least_share(lost, changed, confidence) - 1) * changed / images


def most_paired_drop(lost: int, gained: int, images: int, confidence: float) -> float:
    """Upper bound of the drop of accuracy between two artifacts that were asked the same images.

    The adjusted Wald bound (Bonett and Price 2012, Journal of Educational and Behavioral Statistics 37, 479-488): one image is added to
    either side. Unlike the bound of `paired_drop` it allows for more images to change sides among those to come, as it must where
    none did.

    Args:
        lost, gained: images that were right before only, and that are right now only.
        confidence: one-sided, 0.5 to below 1.

    Returns:
        Share of the images.
    """
    worse, better = (lost + 1) / (images + 2), (gained + 1) / (images + 2)
    spread = math.sqrt((worse + better - (worse - better) ** 2) / (images + 2))
    return worse - better + statistics.NormalDist().inv_cdf(confidence) * spread


def unpaired_drop(before: float, before_images: int, now: float, now_images: int, confidence: float) -> float:
    """Lower bound of `before - now`, two shares 0..1 of samples of images that are not known to be the same.

    The hybrid score interval (Newcombe 1998, Statistics in Medicine 17, 873-890, method 10), one-sided. Where the images are in fact
    the same it errs on the side of finding no drop.

    Args:
        confidence: one-sided, 0.5 to below 1.
    """
    two_sided = 2 * confidence - 1
    lower_before = wilson_interval(before * before_images, before_images, two_sided).low
    upper_now = wilson_interval(now * now_images, now_images, two_sided).high
    return before - now - math.hypot(before - lower_before, upper_now - now)


def _least_share(hits: int, trials: int, confidence: float) -> float:
    """The share at which `hits` or more of `trials` has the probability 1 - confidence."""
    if not hits:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_least(hits, trials, middle) < 1 - confidence else (low, middle)
    return low


def _at_least(hits: int, trials: int, share: float) -> float:
    """P(X >= hits), X binomial; 0 < share < 1."""
    log_share, log_rest = math.log(share), math.log1p(-share)
    ways = math.lgamma(trials + 1)
    return math.fsum(
        math.exp(ways - math.lgamma(k + 1) - math.lgamma(trials - k + 1) + k * log_share + (trials - k) * log_rest)
        for k in range(hits, trials + 1)
    )
