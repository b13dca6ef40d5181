"""Reference pages and what writes them."""
