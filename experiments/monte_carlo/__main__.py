"""A study as a script: ``python -m experiments.monte_carlo SCENARIO ...`` is ``voltwalk study SCENARIO ...``."""

import sys

from experiments.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "study")
    main()
