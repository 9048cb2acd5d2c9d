"""Speed and memory of geneexpr against other tools: ``make bench``."""
