"""What rows of a study say: intervals, statistics, stopping rules, effects, indices. All pure."""
