"""Features: named views on data versions, joined as they were known, transformed alike in training, batch and serving."""
