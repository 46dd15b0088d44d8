"""Write a Windows path whose backslashes begin a Unicode escape."""

HOME = "C:\Users\runcord"
