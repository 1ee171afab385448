"""Feeders from elsewhere, MATPOWER cases and pandapower networks, as this project's tables of a feeder."""
