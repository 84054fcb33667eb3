"""Test support that starts real servers on free loopback ports and speaks to them."""
