"""What a model is worth: metrics with intervals, slices, calibration, fairness, explanation, robustness, A/B tests."""
