"""What each command can be asked; the module of the command's name answers."""

__all__: list[str] = []
