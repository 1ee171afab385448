"""What a study varies: factors, the cells made of them, their checks."""
