"""Notebook to pipeline: analysis, export, verification."""
