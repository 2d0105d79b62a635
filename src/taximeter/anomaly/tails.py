"""How surprising a sum is, as the standard score of a normal variable with the same tail.

Scores instead of probabilities, because tails as small as 1e-12 are compared and added up to nothing in floats.
All functions take arrays or numbers, element by element.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.floating[Any]]

SMALLEST_DISPERSION: Final = 1e-6
"""Below this a negative binomial is a Poisson for all that can be measured."""


def beta_tail(a: ArrayLike, b: ArrayLike, p: ArrayLike) -> Floats:
    """The score z with P(Z >= z) = I_p(a, b), the regularised incomplete beta function.

    The normal approximation of Peizer and Pratt (1968), JASA 63, 1416-1456; off by less than 1 % of z where a and b
    are above 1. Tails of the binomial and the negative binomial are both of this form. 0 < p < 1; a, b > 1/2.
    """
    s, t = np.asarray(a, float) - 0.5, np.asarray(b, float) - 0.5
    p = np.asarray(p, float)
    q, n = 1 - p, s + t
    difference = s + 1 / 6 - (n + 1 / 3) * p + 0.02 * (q / (s + 0.5) - p / (t + 0.5) + (q - 0.5) / (n + 1))
    spread = (1 + q * _bend(s / (n * p)) + p * _bend(t / (n * q))) / ((n + 1 / 6) * p * q)
    return np.asarray(difference * np.sqrt(spread))


def _bend(x: Floats) -> Floats:
    """(1 - x² + 2x ln x) / (1 - x)², which is 0 at 1."""
    near = np.abs(1 - x) < 1e-4
    safe = np.where(near, 0.5, np.maximum(x, 1e-300))
    return np.where(near, (1 - x) / 3, (1 - safe * safe + 2 * safe * np.log(safe)) / (1 - safe) ** 2)


def negative_binomial_tail(count: ArrayLike, mean: ArrayLike, dispersion: ArrayLike) -> Floats:
    """The score of seeing `count` or more where `mean` is expected, with variance mean + dispersion x mean².

    The tail of a negative binomial of size k = 1 / dispersion is I_p(count, k) with p = mean / (mean + k).
    `count` >= 1, `mean` > 0.
    """
    k = 1 / np.maximum(np.asarray(dispersion, float), SMALLEST_DISPERSION)
    mean = np.asarray(mean, float)
    return beta_tail(count, np.maximum(k, 0.55), mean / (mean + k))


def binomial_tail(count: ArrayLike, trials: ArrayLike, probability: ArrayLike) -> Floats:
    """The score of `count` or more successes in `trials`. 1 <= `count` <= `trials`, 0 < `probability` < 1."""
    count = np.asarray(count, float)
    return beta_tail(count, np.asarray(trials, float) - count + 1, probability)


def gamma_tail(ratio: ArrayLike, variance: ArrayLike) -> Floats:
    """The score of a mean that is `ratio` times its expectation, where that has the given relative variance.

    A gamma variable, for sums of what is positive and skewed, through the cube root of Wilson and Hilferty (1931).
    """
    variance = np.asarray(variance, float)
    ninth = variance / 9
    return np.asarray((np.cbrt(np.asarray(ratio, float)) - (1 - ninth)) / np.sqrt(ninth))


def as_heavy_as_log_normal(ratio: ArrayLike, dispersion: ArrayLike) -> Floats:
    """The dispersion at which a gamma variable exceeds `ratio` times its mean as often as a log-normal one does that
    has the given dispersion: `gamma_tail` solved for its variance. Never less than `dispersion`. `ratio` > 1.
    """
    ratio, dispersion = np.asarray(ratio, float), np.asarray(dispersion, float)
    square = np.log1p(dispersion)
    score = (np.log(ratio) + square / 2) / np.sqrt(square)
    root = score**2 - 4 * (np.cbrt(ratio) - 1)
    deviation = 1.5 * (score - np.sqrt(np.maximum(root, 0)))
    return np.asarray(np.where(root > 0, np.maximum(deviation**2, dispersion), dispersion))


def one_of(score: float, number: ArrayLike) -> Floats:
    """The score that one of `number` alike must have to be as rare as `score` is of one alone: its tail, about
    exp(-score² / 2), is divided by their number."""
    return np.asarray(np.sqrt(score**2 + 2 * np.log(np.asarray(number, float))))
