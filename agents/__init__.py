"""Cars as agents: travel chains, capacity domain, drivers and the fleet."""
