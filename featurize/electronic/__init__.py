"""Built-in electronic structure: spin-orbit tight binding from the atoms up."""
