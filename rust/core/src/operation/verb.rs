//! What a request can ask for: the table of verbs, with kind, permission and api-version.

use crate::policy::{Permission, Permissions};

/// The collection an operation belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Certificates, their contacts and issuers.
    Certificates,
    /// Keys, and random bytes.
    Keys,
    /// Secrets.
    Secrets,
}

impl Kind {
    /// The name, as in a path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Certificates => "certificates",
            Self::Keys => "keys",
            Self::Secrets => "secrets",
        }
    }
}

macro_rules! verbs {
    ($(
        $verb:ident: $kind:ident [$($permission:ident),+] $(also $also:ident)? $(since $since:literal)?;
    )*) => {
        /// The operation of a request; the names are those of the audit (contract section 8.2).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[allow(missing_docs, reason = "the names are the contract's and say it all")]
        pub enum Verb { $($verb,)* }

        impl Verb {
            /// Every verb.
            pub const EVERY: &'static [Self] = &[$(Self::$verb,)*];

            /// The operation's name in the audit.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$verb => stringify!($verb),)* }
            }

            /// The collection it works on.
            #[must_use]
            pub const fn kind(self) -> Kind {
                match self { $(Self::$verb => Kind::$kind,)* }
            }

            /// The permissions any one of which is enough; refusals name the first.
            #[must_use]
            pub const fn permissions(self) -> &'static [Permission] {
                match self { $(Self::$verb => &[$(Permission::$permission),+],)* }
            }

            /// A permission that is needed in addition.
            #[must_use]
            pub const fn also(self) -> Option<Permission> {
                match self { $(Self::$verb => verbs!(@also $($also)?),)* }
            }

            /// The first version of the API that has it, if not the first of all.
            #[must_use]
            pub const fn since(self) -> Option<&'static str> {
                match self { $(Self::$verb => verbs!(@since $($since)?),)* }
            }
        }
    };
    (@also) => { None };
    (@also $also:ident) => { Some(Permission::$also) };
    (@since) => { None };
    (@since $since:literal) => { Some($since) };
}

verbs! {
    CertificateBackup: Certificates [CertificatesBackup];
    CertificateContactsDelete: Certificates [CertificatesManageContacts];
    CertificateContactsGet: Certificates [CertificatesManageContacts];
    CertificateContactsSet: Certificates [CertificatesManageContacts];
    CertificateCreate: Certificates [CertificatesCreate];
    CertificateDelete: Certificates [CertificatesDelete];
    CertificateGet: Certificates [CertificatesGet];
    CertificateGetDeleted: Certificates [CertificatesGet];
    CertificateImport: Certificates [CertificatesImport];
    CertificateIssuerDelete: Certificates [CertificatesDeleteIssuers];
    CertificateIssuerGet: Certificates [CertificatesGetIssuers, CertificatesManageIssuers];
    CertificateIssuerSet: Certificates [CertificatesSetIssuers];
    CertificateIssuerUpdate: Certificates [CertificatesSetIssuers];
    CertificateIssuersList: Certificates
        [CertificatesListIssuers, CertificatesManageIssuers, CertificatesGetIssuers];
    CertificateList: Certificates [CertificatesList];
    CertificateListDeleted: Certificates [CertificatesList];
    CertificateListVersions: Certificates [CertificatesList];
    CertificatePendingDelete: Certificates [CertificatesUpdate];
    CertificatePendingGet: Certificates [CertificatesGet];
    CertificatePendingMerge: Certificates [CertificatesCreate];
    CertificatePendingUpdate: Certificates [CertificatesUpdate];
    CertificatePolicyGet: Certificates [CertificatesGet];
    CertificatePolicyUpdate: Certificates [CertificatesUpdate];
    CertificatePurge: Certificates [CertificatesPurge];
    CertificateRecover: Certificates [CertificatesRecover];
    CertificateRestore: Certificates [CertificatesRestore];
    CertificateUpdate: Certificates [CertificatesUpdate];
    KeyAttestationGet: Keys [KeysGet] since "7.6-preview.2";
    KeyBackup: Keys [KeysBackup];
    KeyCreate: Keys [KeysCreate];
    KeyDecrypt: Keys [KeysDecrypt];
    KeyDelete: Keys [KeysDelete];
    KeyEncrypt: Keys [KeysEncrypt];
    // In process only: it has no route.
    KeyEncryptionKeyGet: Keys [KeysWrapKey] also KeysUnwrapKey;
    KeyGet: Keys [KeysGet];
    KeyGetDeleted: Keys [KeysGet];
    KeyImport: Keys [KeysImport];
    KeyList: Keys [KeysList];
    KeyListDeleted: Keys [KeysList];
    KeyListVersions: Keys [KeysList];
    KeyPurge: Keys [KeysPurge];
    KeyRecover: Keys [KeysRecover];
    KeyRelease: Keys [KeysRelease] since "7.3";
    KeyRestore: Keys [KeysRestore];
    KeyRotate: Keys [KeysRotate] since "7.3";
    KeyRotationPolicyGet: Keys [KeysGetRotationPolicy] since "7.3";
    KeyRotationPolicySet: Keys [KeysSetRotationPolicy] since "7.3";
    KeySecureUnwrap: Keys [KeysUnwrapKey] since "2026-01-01-preview";
    KeySecureWrap: Keys [KeysWrapKey] since "2026-01-01-preview";
    KeySign: Keys [KeysSign];
    KeyUnwrap: Keys [KeysUnwrapKey];
    KeyUpdate: Keys [KeysUpdate];
    KeyVerify: Keys [KeysVerify];
    KeyWrap: Keys [KeysWrapKey];
    RandomBytesGet: Keys [KeysGet] since "7.3";
    SecretBackup: Secrets [SecretsBackup];
    SecretDelete: Secrets [SecretsDelete];
    SecretGet: Secrets [SecretsGet];
    SecretGetDeleted: Secrets [SecretsGet];
    SecretList: Secrets [SecretsList];
    SecretListDeleted: Secrets [SecretsList];
    SecretListVersions: Secrets [SecretsList];
    SecretPurge: Secrets [SecretsPurge];
    SecretRecover: Secrets [SecretsRecover];
    SecretRestore: Secrets [SecretsRestore];
    SecretSet: Secrets [SecretsSet];
    SecretUpdate: Secrets [SecretsSet];
}

impl Verb {
    /// The verb with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::EVERY.iter().copied().find(|verb| verb.name() == name)
    }

    /// Whether it concerns one object, which is then named.
    #[must_use]
    pub const fn is_about_an_object(self) -> bool {
        !matches!(
            self,
            Self::CertificateContactsDelete
                | Self::CertificateContactsGet
                | Self::CertificateContactsSet
                | Self::CertificateIssuersList
                | Self::CertificateList
                | Self::CertificateListDeleted
                | Self::CertificateRestore
                | Self::KeyList
                | Self::KeyListDeleted
                | Self::KeyRestore
                | Self::RandomBytesGet
                | Self::SecretList
                | Self::SecretListDeleted
                | Self::SecretRestore
        )
    }

    /// The permission that is missing from those granted; none if they are enough.
    #[must_use]
    pub fn missing(self, granted: Permissions) -> Option<Permission> {
        if !granted.intersects(self.any_of()) {
            return self.permissions().first().copied();
        }
        self.also()
            .filter(|&also| !granted.intersects(Permissions::of(also)))
    }

    /// The set of permissions any one of which is enough.
    #[must_use]
    pub fn any_of(self) -> Permissions {
        self.permissions()
            .iter()
            .fold(Permissions::NONE, |all, &permission| {
                all.union(Permissions::of(permission))
            })
    }
}
