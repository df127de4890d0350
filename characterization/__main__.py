"""``python -m characterization`` is the command ``holdfast``."""

from characterization.command_line import main

if __name__ == "__main__":
    main()
