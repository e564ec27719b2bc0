"""What everybody pays when: known to who puts, and to who checks."""


def name(user):
    return f"user-{user:03}"


def cents(user, n):
    return 1 + (user * 71 + n * 37) % 500
