"""The one exception that is meant for the person at the keyboard."""


class UserError(Exception):
    """Something the user can mend: one sentence that says what, where and what to do."""
