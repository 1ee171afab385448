"""The study of model 2: a charging station with a building, sun and storage."""
