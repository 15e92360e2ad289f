"""Crystals in, arrays and HDF5 out."""
