"""The protocols that a model server speaks besides MLflow's: each translates to a request in MLflow's format and back."""
