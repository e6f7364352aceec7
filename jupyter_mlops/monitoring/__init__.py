"""Inference log to drift report: detectors, decisions, reports."""
