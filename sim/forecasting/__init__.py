"""Forecasters: what the deciding know of the time ahead, and how sure they are of it."""
