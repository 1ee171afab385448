"""Monte Carlo studies: replications over fleets, weather and settings, on one core or many machines."""
