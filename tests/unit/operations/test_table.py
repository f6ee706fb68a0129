"""The table of operations covers what the core knows, and nothing else."""

import msgspec

from vaultcore._core import operation_names
from vaultcore.operations.table import ACTIONS, NOT_OFFERED
from vaultcore.service.keyvault.faces import FACES

#: What has no route: it gives out an object of the core.
IN_PROCESS_ONLY = {"KeyEncryptionKeyGet"}


def test_every_verb_of_the_core_is_offered_or_known_not_to_be() -> None:
    assert set(operation_names()) == set(ACTIONS) | NOT_OFFERED
    assert not set(ACTIONS) & NOT_OFFERED


def test_the_rest_api_offers_every_operation_that_has_a_route() -> None:
    assert set(FACES) == set(ACTIONS) - IN_PROCESS_ONLY


def test_a_face_reads_what_its_action_takes() -> None:
    for name, face in FACES.items():
        reads = face.decode is not None
        assert reads or not msgspec.structs.fields(ACTIONS[name].arguments), name
        assert reads or not face.limit, name
