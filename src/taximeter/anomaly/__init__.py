"""Spending that leaves its normal course: baselines, detectors, explanations. Pure."""
