"""What carries out the training loop."""
