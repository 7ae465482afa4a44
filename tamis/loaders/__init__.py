"""Manifest to training: the rows it names, read from the inputs themselves. No Beam."""
