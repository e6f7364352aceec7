"""Run and data version to model version: registration and aliases."""
