"""UserError: one line that says what is wrong and what to do; it ends the program with code 2."""


class UserError(Exception):
    """Something that the person at the prompt can mend; its text is all that they see."""
