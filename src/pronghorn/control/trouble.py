"""The root of all exceptions meant for people: their text says what is wrong and what to do about it."""


class Trouble(Exception):
    """Printed as it is, without a traceback."""
