"""Which ports an endpoint may have. Pure."""

STANDARD = frozenset({443, 8443})

# what browsers refuse (Fetch standard, "bad port"), less port 80
_OTHER_PROTOCOLS = {
    1, 7, 9, 11, 13, 15, 17, 19, 20, 21, 22, 23, 25, 37, 42, 43, 53, 69, 77, 79, 87, 95, 101, 102, 103, 104, 109, 110,
    111, 113, 115, 117, 119, 123, 135, 137, 139, 143, 161, 179, 389, 427, 465, 512, 513, 514, 515, 526, 530, 531, 532,
    540, 548, 554, 556, 563, 587, 601, 636, 989, 990, 993, 995, 1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061,
    6000, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080,
}  # fmt: skip
_STORES_AND_CONTROL_PLANES = {
    445, 873, 1433, 1521, 2181, 2375, 2376, 2379, 2380, 3306, 3389, 4222, 5432, 5672, 5900, 6379, 6380, 6443, 7001,
    9042, 9092, 9200, 9300, 10250, 10255, 11211, 26379, 27017, 50070,
}  # fmt: skip
"""What a stray POST can talk to."""

_OTHERS = frozenset(_OTHER_PROTOCOLS | _STORES_AND_CONTROL_PLANES)


def never(port: int) -> str | None:
    """Why no endpoint may have this port, whatever the configuration says, or None."""
    if not 1 <= port <= 65535:
        return f"port {port} is not between 1 and 65535"
    if port in _OTHERS:
        return f"port {port} is known for another service"
    return None
