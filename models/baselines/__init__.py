"""Rivals of the SHCTransformer, each trained on the same feature file, splits and scores."""
