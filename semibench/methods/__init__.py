"""What is compared: one file per method."""
