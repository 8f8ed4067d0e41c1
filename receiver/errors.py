"""The one exception for what a user can cause and put right. Printing it belongs to the command line."""


class UserError(Exception):
    """What is wrong, where it is, and what to type: at most three lines, without any secret."""

    def __init__(self, what: str, where: str = "", fix: str = "", exit_code: int = 1) -> None:
        super().__init__(what, where, fix, exit_code)
        self.what = what
        self.where = where
        self.fix = fix
        self.exit_code = exit_code

    def __str__(self) -> str:
        lines = [self.what]
        if self.where:
            lines.append(f"  at {self.where}")
        if self.fix:
            lines.append(f"  {self.fix}")
        return "\n".join(lines)
