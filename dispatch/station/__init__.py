"""A charging station with a building, sun and storage, planned a day ahead: exact optima and Pareto fronts."""
