"""Decisions: the rolling-horizon program, its solver and the baselines."""
