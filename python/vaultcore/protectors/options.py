"""The operator's description of a protector, and how the protector is found again."""

from typing import Final, Literal

import msgspec

from vaultcore.errors import ConfigurationError
from vaultcore.protectors.pkcs11.messages import new_key_id

#: The folder of key files, and that of a software token, in a data folder.
KEY_FILES: Final = "keys"
SOFT_TOKEN: Final = "token"  # noqa: S105 - a folder

_MAXIMUM_NAME: Final = 64
_KNOWN: Final = {
    "file": {"path", "key_id", "passphrase_file"},
    "pkcs11": {
        "module",
        "token_label",
        "token_serial",
        "pin_file",
        "key_label",
        "key_id",
        "check_value",
    },
    "softhsm": {"folder", "key_label", "key_id", "check_value"},
}
_REQUIRED: Final = {
    "file": set[str](),
    "pkcs11": {"module", "token_label", "pin_file"},
    "softhsm": set[str](),
}


class ProtectorOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The options that find a protector; nothing in them is secret.

    Attributes:
        name: the operator's name for it.
        kind: ``file``, ``pkcs11``, or ``softhsm`` for a software token in the data folder.
        options: the options of the kind; paths are relative to the data folder.
        state: ``adding`` or ``removing`` while that is in progress, and empty otherwise.
    """

    name: str
    kind: str
    options: dict[str, str] = {}
    state: Literal["", "adding", "removing"] = ""

    def check(self) -> None:
        """Checks the kind and its options.

        Raises:
            ConfigurationError: the kind does not exist, or an option is unknown or missing.
        """
        if self.kind not in _KNOWN:
            raise ConfigurationError(
                f"there is no protector of kind `{self.kind[:32]}`; the kinds are "
                f"{', '.join(_KNOWN)}"
            )
        if not self.name or "/" in self.name or len(self.name) > _MAXIMUM_NAME:
            raise ConfigurationError(
                f"a protector's name has 1 to {_MAXIMUM_NAME} characters and no slash"
            )
        unknown = set(self.options) - _KNOWN[self.kind]
        missing = _REQUIRED[self.kind] - set(self.options)
        if unknown or missing:
            raise ConfigurationError(
                f"the {self.kind} protector `{self.name}` has "
                + (f"unknown options: {', '.join(sorted(unknown))}" if unknown else "")
                + (f"missing options: {', '.join(sorted(missing))}" if missing else "")
            )


def planned(options: ProtectorOptions) -> ProtectorOptions:
    """Returns the options that will find a protector that does not exist yet, as far as known.

    Raises:
        ConfigurationError: an option is wrong.
    """
    options.check()
    # The key is known when it is created.
    made = {"key_id", "check_value"}
    given = {name: value for name, value in options.options.items() if name not in made}
    if options.kind == "file":
        given.setdefault("path", f"{KEY_FILES}/{options.name}.json")
    else:
        given.setdefault("key_label", f"vaultcore-{options.name}")
        # Chosen beforehand: it identifies the key that an interrupted attempt leaves.
        given["key_id"] = new_key_id().hex()
        if options.kind == "softhsm":
            given.setdefault("folder", SOFT_TOKEN)
    return msgspec.structs.replace(options, options=given)


def is_made(options: ProtectorOptions) -> bool:
    """Returns whether it is known that the key of a protector was created."""
    return ("key_id" if options.kind == "file" else "check_value") in options.options
