"""The conformance kit: what every method must keep, checked on a tiny instance; ``semibench check`` and pytest run it."""
