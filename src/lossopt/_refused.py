"""What a command may say instead of working."""


class RefusedError(Exception):
    """A sentence for the user, and the exit code: 2 for bad usage or input."""

    def __init__(self, sentence: str, code: int = 2) -> None:
        super().__init__(sentence)
        self.code = code
