"""Arrays in, arrays out: Numba kernels and their NumPy twins."""

from shc.kernels.cache import prepare_cache

prepare_cache()
