"""The nouns at rest, in MLflow's store. The only folder that imports mlflow."""
