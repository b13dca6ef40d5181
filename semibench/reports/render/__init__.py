"""One table model, several faces."""
