"""Where pieces of a study run: in this process, in processes, on a cluster."""
