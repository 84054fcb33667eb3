"""Measurements of s3d beside other servers; not installed. ``python -m bench --help`` lists them."""
