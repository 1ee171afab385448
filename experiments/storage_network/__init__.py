"""The study of model 3: distributed storage in a charging network on a feeder."""
