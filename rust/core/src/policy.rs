//! Permissions and access policies, compiled.
//!
//! An access policy grants a set of permissions to one object id, or to one object id acting
//! through one application. Sets are bits of one word, so the union over a caller and the caller's
//! groups is a few `or`s. Nothing is granted that no policy grants.
//!
//! Callers and groups have separate names: `group:` before an id means only the group. A bare GUID
//! means either, as in a directory, which assigns each GUID once. Any other id means only the
//! caller, because an issuer of tokens may name a group as it names a person.

use std::borrow::Cow;
use std::collections::HashMap;

use crate::principal::Principal;

macro_rules! permissions {
    ($($variant:ident = $name:literal,)*) => {
        /// One permission of an access policy (contract section 6.3).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are the contract's and say it all")]
        pub enum Permission { $($variant,)* }

        impl Permission {
            /// Every permission; without `all`.
            pub const EVERY: &'static [Self] = &[$(Self::$variant,)*];

            /// The name, as in `keys/wrapKey`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

permissions! {
    CertificatesBackup = "certificates/backup",
    CertificatesCreate = "certificates/create",
    CertificatesDelete = "certificates/delete",
    CertificatesDeleteIssuers = "certificates/deleteissuers",
    CertificatesGet = "certificates/get",
    CertificatesGetIssuers = "certificates/getissuers",
    CertificatesImport = "certificates/import",
    CertificatesList = "certificates/list",
    CertificatesListIssuers = "certificates/listissuers",
    CertificatesManageContacts = "certificates/managecontacts",
    CertificatesManageIssuers = "certificates/manageissuers",
    CertificatesPurge = "certificates/purge",
    CertificatesRecover = "certificates/recover",
    CertificatesRestore = "certificates/restore",
    CertificatesSetIssuers = "certificates/setissuers",
    CertificatesUpdate = "certificates/update",
    KeysBackup = "keys/backup",
    KeysCreate = "keys/create",
    KeysDecrypt = "keys/decrypt",
    KeysDelete = "keys/delete",
    KeysEncrypt = "keys/encrypt",
    KeysGet = "keys/get",
    KeysGetRotationPolicy = "keys/getrotationpolicy",
    KeysImport = "keys/import",
    KeysList = "keys/list",
    KeysPurge = "keys/purge",
    KeysRecover = "keys/recover",
    KeysRelease = "keys/release",
    KeysRestore = "keys/restore",
    KeysRotate = "keys/rotate",
    KeysSetRotationPolicy = "keys/setrotationpolicy",
    KeysSign = "keys/sign",
    KeysUnwrapKey = "keys/unwrapKey",
    KeysUpdate = "keys/update",
    KeysVerify = "keys/verify",
    KeysWrapKey = "keys/wrapKey",
    SecretsBackup = "secrets/backup",
    SecretsDelete = "secrets/delete",
    SecretsGet = "secrets/get",
    SecretsList = "secrets/list",
    SecretsPurge = "secrets/purge",
    SecretsRecover = "secrets/recover",
    SecretsRestore = "secrets/restore",
    SecretsSet = "secrets/set",
    StorageBackup = "storage/backup",
    StorageDelete = "storage/delete",
    StorageDeleteSas = "storage/deletesas",
    StorageGet = "storage/get",
    StorageGetSas = "storage/getsas",
    StorageList = "storage/list",
    StorageListSas = "storage/listsas",
    StoragePurge = "storage/purge",
    StorageRecover = "storage/recover",
    StorageRegenerateKey = "storage/regeneratekey",
    StorageRestore = "storage/restore",
    StorageSet = "storage/set",
    StorageSetSas = "storage/setsas",
    StorageUpdate = "storage/update",
}

// INVARIANT: a set of permissions is one word.
const _: () = assert!(Permission::EVERY.len() <= 64);

/// A set of permissions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Permissions(u64);

impl Permissions {
    /// The empty set.
    pub const NONE: Self = Self(0);

    /// The set of one permission.
    #[must_use]
    pub const fn of(permission: Permission) -> Self {
        Self(1 << permission as u64)
    }

    /// Parses one entry of an access policy, `kind/permission`, ignoring case.
    ///
    /// `kind/all` is every permission of that kind except `purge`, which must be named.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, right) = text.split_once('/')?;
        let all = right.eq_ignore_ascii_case("all");
        let mut found = Self::NONE;
        for &permission in Permission::EVERY {
            let (its_kind, its_right) = permission.name().split_once('/')?;
            if !its_kind.eq_ignore_ascii_case(kind) {
                continue;
            }
            if its_right.eq_ignore_ascii_case(right) || (all && its_right != "purge") {
                found = found.union(Self::of(permission));
            }
        }
        (found != Self::NONE).then_some(found)
    }

    /// Both sets together.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether the sets have a permission in common.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// The prefix of a group's id in a policy.
const GROUP: &str = "group:";

/// The content of an access policy.
#[derive(Debug, Clone)]
pub struct Grant {
    /// The application through which the object id must act, or the empty string for any.
    pub app_id: String,
    /// The user or the application's service principal; or the group, as a GUID or after `group:`.
    pub object_id: String,
    /// What is granted.
    pub permissions: Permissions,
}

/// The access policies of one vault.
#[derive(Debug, Default)]
pub struct Policies {
    by_group: HashMap<String, Vec<Entry>>,
    by_object_id: HashMap<String, Vec<Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    app_id: Option<String>,
    permissions: Permissions,
}

impl Policies {
    /// Compiles access policies.
    ///
    /// An entry without an object id would belong to every caller that has none: it is dropped.
    #[must_use]
    pub fn compile(grants: impl IntoIterator<Item = Grant>) -> Self {
        let mut policies = Self::default();
        for grant in grants {
            let entry = Entry {
                app_id: (!grant.app_id.is_empty()).then(|| grant.app_id.to_ascii_lowercase()),
                permissions: grant.permissions,
            };
            let group = grant.object_id.strip_prefix(GROUP);
            let id = canonical_id(group.unwrap_or(&grant.object_id)).into_owned();
            if id.is_empty() {
                continue;
            }
            if group.is_some() || is_guid(&id) {
                let held = policies.by_group.entry(id.clone()).or_default();
                held.push(entry.clone());
            }
            if group.is_none() {
                policies.by_object_id.entry(id).or_default().push(entry);
            }
        }
        policies
    }

    /// Everything that is granted to a caller, directly or as a member of a group.
    #[must_use]
    pub fn granted(&self, principal: &Principal) -> Permissions {
        let own = self
            .by_object_id
            .get(canonical_id(&principal.object_id).as_ref());
        let groups = principal.groups.iter();
        groups
            .filter_map(|id| self.by_group.get(canonical_id(id).as_ref()))
            .chain(own)
            .flatten()
            .filter(|entry| entry.admits(&principal.app_id))
            .fold(Permissions::NONE, |all, entry| all.union(entry.permissions))
    }
}

/// An object id in the form in which it is compared.
///
/// GUIDs are the same in any case (RFC 9562 section 4); the subject of an OIDC issuer is not, and
/// two of its users may differ in nothing else (OIDC Core section 2).
fn canonical_id(id: &str) -> Cow<'_, str> {
    if is_guid(id) && id.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(id.to_ascii_lowercase())
    } else {
        Cow::Borrowed(id)
    }
}

fn is_guid(id: &str) -> bool {
    id.len() == 36
        && id.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

impl Entry {
    fn admits(&self, app_id: &str) -> bool {
        self.app_id
            .as_ref()
            .is_none_or(|required| required.eq_ignore_ascii_case(app_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(object_id: &str, app_id: &str, permission: &str) -> Grant {
        Grant {
            app_id: app_id.to_owned(),
            object_id: object_id.to_owned(),
            permissions: Permissions::parse(permission).unwrap_or_default(),
        }
    }

    fn caller(object_id: &str, app_id: &str, groups: &[&str]) -> Principal {
        Principal {
            app_id: app_id.to_owned(),
            groups: groups.iter().map(|&group| group.to_owned()).collect(),
            object_id: object_id.to_owned(),
            ..Principal::default()
        }
    }

    #[test]
    fn every_permission_parses_to_itself_in_any_case() {
        for &permission in Permission::EVERY {
            let name = permission.name();
            for text in [name.to_owned(), name.to_uppercase(), name.to_lowercase()] {
                assert_eq!(
                    Permissions::parse(&text),
                    Some(Permissions::of(permission)),
                    "{text}"
                );
            }
        }
        for text in [
            "",
            "/",
            "all",
            "keys",
            "keys/",
            "keys/set",
            "secrets/ get",
            "blobs/all",
        ] {
            assert_eq!(Permissions::parse(text), None, "{text}");
        }
    }

    #[test]
    fn all_is_everything_of_its_kind_but_purge() {
        let all = Permissions::parse("Keys/All").unwrap_or_default();
        for &permission in Permission::EVERY {
            let name = permission.name();
            let expected = name.starts_with("keys/") && name != "keys/purge";
            assert_eq!(
                all.intersects(Permissions::of(permission)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_caller_has_what_he_his_groups_and_his_application_were_granted() {
        let (alice, upper) = (
            "0a0a0a0a-1111-2222-3333-44444444abcd",
            "0A0A0A0A-1111-2222-3333-44444444ABCD",
        );
        let policies = Policies::compile([
            grant(upper, "", "secrets/get"),
            grant("group:team", "", "secrets/list"),
            grant(alice, "APP", "secrets/set"),
            grant("", "", "secrets/purge"),
        ]);
        let get = Permissions::of(Permission::SecretsGet);
        let list = Permissions::of(Permission::SecretsList);
        let set = Permissions::of(Permission::SecretsSet);
        assert_eq!(policies.granted(&caller(alice, "", &[])), get);
        assert_eq!(
            policies.granted(&caller(upper, "", &["team"])),
            get.union(list)
        );
        assert_eq!(policies.granted(&caller(alice, "app", &[])), get.union(set));
        assert_eq!(policies.granted(&caller("bob", "app", &["team"])), list);
        // Only GUIDs are the same in any case.
        assert_eq!(
            policies.granted(&caller("bob", "", &["TEAM"])),
            Permissions::NONE
        );
        assert_eq!(
            policies.granted(&caller("bob", "app", &[])),
            Permissions::NONE
        );
        assert_eq!(policies.granted(&caller("", "", &[""])), Permissions::NONE);
    }

    #[test]
    fn a_group_is_not_taken_for_a_person_nor_a_person_for_a_group() {
        let (guid, upper) = (
            "0a0a0a0a-1111-2222-3333-44444444abcd",
            "0A0A0A0A-1111-2222-3333-44444444ABCD",
        );
        let get = Permissions::of(Permission::SecretsGet);
        let granted = |to: &str, who: &Principal| {
            Policies::compile([grant(to, "", "secrets/get")]).granted(who)
        };
        for name in ["sso:team", guid] {
            let group = format!("group:{name}");
            let member = caller("somebody", "", &[name]);
            assert_eq!(granted(&group, &member), get, "{name}");
            assert_eq!(granted(&group, &caller(name, "", &[])), Permissions::NONE);
            // Nor by calling oneself, or a group, as a policy does.
            assert_eq!(granted(&group, &caller(&group, "", &[])), Permissions::NONE);
            assert_eq!(
                granted(&group, &caller("somebody", "", &[&group])),
                Permissions::NONE
            );
            assert_eq!(granted(name, &caller(name, "", &[])), get);
        }
        // A directory assigns each GUID once, so a bare one means whatever has it.
        assert_eq!(granted(upper, &caller("somebody", "", &[guid])), get);
        assert_eq!(
            granted(&format!("group:{upper}"), &caller("somebody", "", &[guid])),
            get
        );
        assert_eq!(
            granted("sso:team", &caller("somebody", "", &["sso:team"])),
            Permissions::NONE
        );
        assert_eq!(granted("group:", &caller("", "", &[""])), Permissions::NONE);
    }
}
