"""Model version to deployment: the model server, its supervision, its inference log."""
