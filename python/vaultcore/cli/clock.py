"""``vaultcore clock``: what an operator states about the clock of the machine."""

from vaultcore.cli.session import Session, command, new_group

group = new_group("The clock of the machine, which decides when deleted objects are purged.")


@command(group, "confirm")
def confirm(session: Session) -> None:
    """Confirms that the clock is right although it jumped, so that purges continue."""
    session.record(session.manage("clock.confirm"))
