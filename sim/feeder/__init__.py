"""A radial distribution feeder: its data, its linear power flow for programs, and its AC power flow as the judge."""
