"""Encoders of the crystal, the bands and the symmetry prompt."""
