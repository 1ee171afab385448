"""What the papers' experiments share: a folder of parts that resume, sums with intervals, a page."""
