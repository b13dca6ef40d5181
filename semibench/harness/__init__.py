"""What runs: loading, engines, the evaluator, the command line."""
