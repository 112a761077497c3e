"""From paths to a report: finding files, checking them, suppressing, fixing, caching."""
