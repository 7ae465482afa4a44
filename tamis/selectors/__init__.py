"""Which rows, and how often: laws that predict error, quotas, and the planner."""
