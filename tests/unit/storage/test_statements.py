"""The statements are those of every database, and bind what they say."""

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.compiler import SQLCompiler

from vaultcore.storage import sealed, statements
from vaultcore.storage.statements import Statement

STATEMENTS = {
    **{name: value for name, value in vars(statements).items() if isinstance(value, Statement)},
    **{f"find {kind}": statement for kind, statement in sealed.FIND.items()},
    **{f"count {kind}": statement for kind, statement in sealed.COUNT.items()},
    "update_object": statements.update_object(("current", "seal")),
    "update_version": statements.update_version(("payload",)),
}


@pytest.mark.parametrize("name", STATEMENTS)
@pytest.mark.parametrize(
    "dialect",
    [sqlite.dialect(paramstyle="qmark"), postgresql.dialect(paramstyle="format")],
    ids=["sqlite", "postgresql"],
)
def test_each_statement_binds_its_parameters_in_their_order(name, dialect):
    compiled = STATEMENTS[name].form.compile(dialect=dialect)
    assert isinstance(compiled, SQLCompiler)
    assert tuple(compiled.positiontup or ()) == STATEMENTS[name].parameters
