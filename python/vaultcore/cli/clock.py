"""``vaultcore clock``: what an operator says about the clock of the machine."""

from vaultcore.cli.session import Session, command, new_group

group = new_group("The clock of the machine, by which deleted objects are purged.")


@command(group, "confirm")
def confirm(session: Session) -> None:
    """Says that the clock is right although it has jumped, so that what is due is purged."""
    session.record(session.manage("clock.confirm"))
