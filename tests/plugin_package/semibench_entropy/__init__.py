"""A package that is not semibench's and brings a method of its own; ``tests/test_plugins_package.py`` installs it."""
