"""Add up the lines of an order."""


def total(prices: list[int]) -> int:
    return sum((price for price in prices if price > 0)


def average(prices: list[int]) -> float:
    return total(prices) / len(prices)
