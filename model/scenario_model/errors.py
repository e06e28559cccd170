"""What can go wrong, as a user sees it: one line that names what, where and the remedy."""


class ScenarioModelError(Exception):
    """Base of every error that the command line prints without a traceback."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        """Hold the three parts; `str()` joins those that are there into one line."""
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        located = f"{self.where}: {self.what}" if self.where else self.what
        return f"{located}; {self.remedy}" if self.remedy else located


class InputError(ScenarioModelError):
    """Bad usage, configuration or data: exit code 2."""

    exit_code = 2


class Refused(ScenarioModelError):  # noqa: N818 - it is an answer, not a fault
    """A check said no: a signature, a digest, a gate, a compare-and-swap. Exit code 1."""


class TemporaryError(ScenarioModelError):
    """What may go well the next time: a network that is cut, a machine that is taken away. Exit code 75.

    That is EX_TEMPFAIL of sysexits.h: whoever started the program is asked to start it again.
    """

    exit_code = 75
