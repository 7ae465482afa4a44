"""Cheap real trainings: what to train (`design`), and the trainers (`linear_probe`)."""
