"""Filters: which objects are queued, cached, synced. Their language stands in docs/filters.md.

Text becomes clauses (`parse`), these a program for the evaluator in `_core` (`compile`), and `decide.Filter` is what
the rest of s3d asks. `source` reads the lists of ``@file`` and notices when they change.
"""
