"""Arrays in, spin Hall conductivity out."""
