"""Tails beside their exact sums."""

from __future__ import annotations

from math import exp, lgamma, log, log1p
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taximeter.anomaly.tails import as_heavy_as_log_normal, binomial_tail, gamma_tail, negative_binomial_tail, one_of


def exact_negative_binomial(count: int, mean: float, dispersion: float) -> float:
    """P(X >= count), as a sum of so many terms that the rest is nothing."""
    k = 1 / dispersion
    p = mean / (mean + k)

    def term(x: int) -> float:
        return exp(lgamma(x + k) - lgamma(k) - lgamma(x + 1) + k * log1p(-p) + x * log(p))

    return sum(term(x) for x in range(count, count + 4000))


def exact_binomial(count: int, trials: int, p: float) -> float:
    return sum(
        exp(
            lgamma(trials + 1) - lgamma(x + 1) - lgamma(trials - x + 1) + x * log(p) + (trials - x) * log1p(-p),
        )
        for x in range(count, trials + 1)
    )


def score_of(probability: float) -> float:
    return -NormalDist().inv_cdf(probability)


@given(
    count=st.integers(1, 400),
    mean=st.floats(0.5, 200),
    dispersion=st.floats(0.01, 0.8),
)
def test_the_score_of_a_count_is_that_of_its_exact_tail(count: int, mean: float, dispersion: float) -> None:
    exact = exact_negative_binomial(count, mean, dispersion)
    if 1e-14 < exact < 1 - 1e-6:
        score = float(negative_binomial_tail(count, mean, dispersion))
        assert score == pytest.approx(score_of(exact), rel=0.03, abs=0.05)


@given(trials=st.integers(1, 300), share=st.floats(0.01, 1.0), p=st.floats(0.005, 0.95))
def test_the_score_of_a_share_is_that_of_its_exact_tail(trials: int, share: float, p: float) -> None:
    count = max(1, round(trials * share))
    exact = exact_binomial(count, trials, p)
    if 1e-14 < exact < 1 - 1e-6:
        assert float(binomial_tail(count, trials, p)) == pytest.approx(score_of(exact), rel=0.03, abs=0.06)


@given(mean=st.floats(1, 1e5), dispersion=st.floats(0.001, 0.5))
def test_more_calls_are_never_less_surprising(mean: float, dispersion: float) -> None:
    counts = [mean * factor + 1 for factor in (1.2, 1.5, 2, 3, 5)]
    scores = [float(negative_binomial_tail(count, mean, dispersion)) for count in counts]
    assert scores == sorted(scores)


def test_a_mean_as_expected_has_no_score_to_speak_of() -> None:
    assert abs(float(gamma_tail(1.0, 0.01))) < 0.05
    assert float(gamma_tail(1.5, 0.01)) > 4


@pytest.mark.parametrize("number", [1, 6, 100, 1000])
def test_one_of_many_must_be_as_rare_as_one_alone(number: int) -> None:
    """The tail of the score that is asked, times how many are looked at, is the tail of the score for one."""
    alone, one_of_many = NormalDist().cdf(-5.0), NormalDist().cdf(-float(one_of(5.0, number)))
    assert 0.75 * alone <= one_of_many * number <= alone


@pytest.mark.parametrize(
    ("ratio", "dispersion"), [(1.5, 0.005), (1.5, 0.05), (2.0, 0.05), (4.0, 0.05), (4.0, 0.3), (6.0, 0.3)]
)
def test_a_gamma_variable_can_be_as_heavy_as_a_log_normal_one(ratio: float, dispersion: float) -> None:
    square = log1p(dispersion)
    score = (log(ratio) + square / 2) / square**0.5
    heavier = float(as_heavy_as_log_normal(ratio, dispersion))
    assert heavier > dispersion
    assert float(gamma_tail(ratio, heavier)) == pytest.approx(score)


@pytest.mark.parametrize("dispersion", [0.01, 0.5, 5.0])
def test_it_is_never_lighter_than_it_was(dispersion: float) -> None:
    assert float(as_heavy_as_log_normal(1.01, dispersion)) >= dispersion
