"""Run to data version: identity, storage, differences, reference profiles."""
