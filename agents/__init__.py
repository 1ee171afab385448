"""Cars as agents: travel chains, capacity domain, drivers and the fleet."""

# Read by experiments.preflight: an unrelated wheel also installs a package of this name.
__voltwalk__ = True
