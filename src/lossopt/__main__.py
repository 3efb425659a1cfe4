"""``python -m lossopt`` is ``lossopt``."""

from lossopt.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
