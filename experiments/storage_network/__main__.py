"""The study as a script: ``python -m experiments.storage_network`` is ``voltwalk experiment storage-network``."""

import sys

from experiments.cli import main

if __name__ == "__main__":
    sys.argv[1:1] = ["experiment", "storage-network"]
    main()
