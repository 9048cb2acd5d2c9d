"""Statistics of expression: arrays in, arrays out."""
