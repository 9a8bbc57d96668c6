"""``python -m dbgkit``: the command line."""

from dbgkit.frontends.cli.main import main

if __name__ == "__main__":
    main("python -m dbgkit")
