class Unavailable(Exception):
    pass
