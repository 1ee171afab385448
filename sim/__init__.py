"""The simulated world: clock, chance, physics, truth, forecasts, traces and the loop."""
