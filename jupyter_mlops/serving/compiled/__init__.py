"""The speed path: a scikit-learn pipeline as a plan that computes the same without pandas and scikit-learn."""
