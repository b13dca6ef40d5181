"""What is measured: protocols, partitions and data sets; never imports torch."""
