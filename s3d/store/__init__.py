"""Data files: staging, publishing, reading, sweeping. Knows bytes and file numbers, nothing of objects."""
