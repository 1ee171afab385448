"""The study as a script: ``python -m experiments.multi_microgrid`` is ``voltwalk experiment multi-microgrid``."""

import sys

from experiments.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["experiment", "multi-microgrid"]
    main()
