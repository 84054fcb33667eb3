"""Tests of the filters: their language, their evaluator, their files."""
