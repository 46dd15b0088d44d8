"""Find the first line that is not blank."""


def first_line(lines: list[str]) -> str:
    for line in lines:
        if line.strip():
            return line
      return ""
