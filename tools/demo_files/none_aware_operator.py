"""Use the None-aware operators of PEP 505, which Python never adopted."""


def city_of(user):
    return user?.address?.city ?? "unknown"
