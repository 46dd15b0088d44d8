"""Turn temperatures around."""


def to_fahrenheit(celsius: float) -> float:
    if celsius < -273.15:
	raise ValueError("colder than nothing")
        return 0.0
    return celsius * 9 / 5 + 32
