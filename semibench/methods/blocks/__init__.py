"""Pure functions that methods share."""
