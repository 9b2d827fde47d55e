"""Numbers for people: three significant digits and a decimal prefix."""

PREFIXES = ("", "k", "M", "G", "T", "P")


def count(value: float) -> str:
    """1234567 as "1.23 M"; whole numbers below 10000 as they are."""
    if value == int(value) and value < 10_000:
        return str(int(value))
    for prefix in PREFIXES:
        if value < 999.5:
            digits = 2 if value < 9.995 else 1 if value < 99.95 else 0
            return f"{value:.{digits}f} {prefix}".rstrip()
        value /= 1000
    return f"{value:.0f} E"


def bits(octets: float) -> str:
    """A rate in octets per second as bits per second, such as "1.23 Gb"."""
    text = count(octets * 8)
    return text + "b" if text[-1].isalpha() else text + " b"


def seconds(value: float) -> str:
    """42 as "42s", 90 as "1m30", 3700 as "1h01", 100000 as "1d03"."""
    if value < 10:
        return f"{value:.1f}s"
    whole = int(value)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02}"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02}"


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"
