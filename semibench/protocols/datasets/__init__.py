"""Data sets, one file each: official folder layout -> images and index masks."""
