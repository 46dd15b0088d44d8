"""The command line. `main` is the entry point; every command is a thin layer over the modules beneath."""


def main() -> None:
    """Run the command line and exit: 0 done, 1 failed, 2 usage or configuration, 3 unavailable."""
    from runcord.cli.app import run

    run()
