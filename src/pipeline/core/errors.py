"""The exception for errors that the user can fix."""


class UserError(Exception):
    """An error that the user can fix: one sentence says what is wrong, where, and what to do."""
