"""Storage on a radial feeder: where, how large, and what its schedule trades off, with certified gaps."""
