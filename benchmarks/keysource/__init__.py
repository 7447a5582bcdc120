"""The scenarios of ``key_source.py``, and the processes that they run in."""
