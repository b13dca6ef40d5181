"""Networks in encode and decode halves, one file each."""
