"""Defaults that several places share. Imports nothing, so that --help answers at once."""

NEAR_DUPLICATE_BITS = 10  # at most this many of the 256 bits of two difference hashes differ; -near_duplicates
MOST_PIXELS = 89_478_485  # of an image; Pillow's own limit; -max_pixels
