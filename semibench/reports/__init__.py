"""What is shown: results, statistics and tables; never imports torch."""
