"""What a type checker tells the users of ``jwtauth``: checked by mypy and by pyright, never run.

Where a comment has one of them ignore an error, the error is what is expected: without it, the
comment is one.
"""
