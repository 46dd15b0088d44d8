"""Use a template string, which Python has had since 3.14."""

name = "Runcord"
greeting = t"Hello, {name}!"
