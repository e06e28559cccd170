"""User-visible errors: one line with what, where and the remedy."""


class ScenarioModelError(Exception):
    """Base of every error that the command line prints without a traceback."""

    exit_code = 1

    def __init__(self, what: str, *, where: str = "", remedy: str = "") -> None:
        """Hold the three parts; `str()` joins those given into one line."""
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        located = f"{self.where}: {self.what}" if self.where else self.what
        return f"{located}; {self.remedy}" if self.remedy else located


class InputError(ScenarioModelError):
    """Bad usage, configuration or data: exit code 2."""

    exit_code = 2


class Refused(ScenarioModelError):  # noqa: N818 - a result, not a fault
    """A check failed: a signature, a digest, a gate, a compare-and-swap. Exit code 1."""


class TemporaryError(ScenarioModelError):
    """A retryable failure: the network is down, the machine is being reclaimed. Exit code 75.

    That is EX_TEMPFAIL of sysexits.h: the program should be started again.
    """

    exit_code = 75
