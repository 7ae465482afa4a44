"""Cheap real trainings: what to train (`design`), and the trainers, which are all one `protocol`.

`linear_probe` and `knn` read vectors and labels, `tiny_lm` texts; `command` is any other.
"""
