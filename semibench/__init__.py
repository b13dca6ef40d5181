"""semibench: a benchmark and leaderboard for label-efficient semantic segmentation."""
