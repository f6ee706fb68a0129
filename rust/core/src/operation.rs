//! Parses method, path and query into a typed operation.
//!
//! This is the one parser of requests: policy, storage and audit use its result. The rules:
//!
//! - Literal segments (`secrets`, `restore`, `versions`, ...) compare without case, as names do,
//!   and win over names and versions.
//! - One slash at the end, and a second one at the start, are ignored. An empty segment means the
//!   current version if an operation follows it (`/keys/a//encrypt`). No other empty
//!   segment is accepted, and nothing is decoded or normalised: a name with `%`, `.` or `..` in
//!   it is not a name.
//! - Names and values of the query are percent-decoded; a parameter that is known here must not
//!   occur twice; others are ignored.
//!
//! Refusals come in this order: unknown route (404), wrong method (405), object name, version,
//! query (400). They never repeat any input.

use crate::name::{parse_version, ObjectName};
use crate::policy::{Permission, Permissions};

/// The longest accepted path.
const MAX_PATH: usize = 1024;
/// The longest accepted query.
const MAX_QUERY: usize = 4096;
/// The most parameters in a query.
const MAX_PARAMETERS: usize = 32;
/// The longest value of a parameter that is passed on.
const MAX_VALUE: usize = 2048;
/// The size of a page, and the largest one (contract section 1.0).
const MAX_RESULTS: u8 = 25;

/// The versions of the API, oldest first (contract section 0.2).
pub const API_VERSIONS: &[&str] = &[
    "2015-06-01",
    "2016-10-01",
    "7.0",
    "7.1",
    "7.2",
    "7.3",
    "7.4",
    "7.5",
    "7.6-preview.1",
    "7.6-preview.2",
    "7.6",
    "2025-06-01-preview",
    "2025-07-01",
    "2026-01-01-preview",
    "2026-03-01-preview",
    "2026-04-01",
    "2026-05-01-preview",
    "2026-07-01-preview",
];

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

/// A parsed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The version of the API in the request.
    pub api_version: &'static str,
    /// Other parameters of the query that the service knows, decoded.
    pub extra: Vec<(&'static str, String)>,
    /// The largest page that the answer may have.
    pub max_results: u8,
    /// Whether the caller named the size of a page.
    pub max_results_given: bool,
    /// The object that it concerns.
    pub object: Option<ObjectName>,
    /// Where a listing continues, from the last page's link; or the empty string.
    pub skip_token: String,
    /// The operation.
    pub verb: Verb,
    /// The version of the object, canonical; or the empty string for the current one.
    pub version: String,
}

/// Why a request is refused, in the terms of the contract (section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The error code.
    pub code: &'static str,
    /// The code of the inner error.
    pub inner: Option<&'static str>,
    /// What happened and what to do; never any input.
    pub message: String,
    /// The HTTP status.
    pub status: u16,
    /// The operation, if it could be determined; for the audit.
    pub verb: Option<Verb>,
}

impl Refusal {
    fn bad_parameter(message: &str) -> Self {
        Self {
            code: "BadParameter",
            inner: None,
            message: message.to_owned(),
            status: 400,
            verb: None,
        }
    }

    fn about(self, verb: Verb) -> Self {
        Self {
            verb: Some(verb),
            ..self
        }
    }

    fn method() -> Self {
        Self {
            code: "MethodNotAllowed",
            inner: None,
            message: "this path does not support this method".to_owned(),
            status: 405,
            verb: None,
        }
    }

    fn route() -> Self {
        Self {
            code: "NotFound",
            inner: None,
            message: "there is nothing at this path".to_owned(),
            status: 404,
            verb: None,
        }
    }
}

/// Parses a request.
///
/// The path is the undecoded one, the query is what follows the question mark.
pub fn parse(method: &str, path: &[u8], query: &[u8]) -> Result<Operation, Refusal> {
    let target = route(method, path)?;
    let parameters = Parameters::parse(query).map_err(|refusal| refusal.about(target.verb))?;
    if let Some(since) = target.verb.since() {
        if rank(parameters.api_version) < rank(since) {
            let refusal = Refusal::bad_parameter(&format!(
                "this operation needs api-version {since} or a later one"
            ));
            return Err(refusal.about(target.verb));
        }
    }
    Ok(Operation {
        api_version: parameters.api_version,
        extra: parameters.extra,
        max_results: parameters.max_results.unwrap_or(MAX_RESULTS),
        max_results_given: parameters.max_results.is_some(),
        object: target.object,
        skip_token: parameters.skip_token,
        verb: target.verb,
        version: target.version,
    })
}

/// Parses an operation that is named, and not requested by a path, as in process.
pub fn named(verb: Verb, object_name: &[u8], version: &[u8]) -> Result<Operation, Refusal> {
    let refused = |refusal: Refusal| refusal.about(verb);
    let object = if verb.is_about_an_object() {
        Some(parse_object(object_name).map_err(refused)?)
    } else {
        None
    };
    Ok(Operation {
        api_version: "",
        extra: Vec::new(),
        max_results: MAX_RESULTS,
        max_results_given: false,
        object,
        skip_token: String::new(),
        verb,
        version: parse_object_version(version).map_err(refused)?,
    })
}

fn parse_object(name: &[u8]) -> Result<ObjectName, Refusal> {
    ObjectName::parse(name).ok_or_else(|| {
        Refusal::bad_parameter(
            "a name is 1 to 127 letters (a-z), digits and hyphens, and nothing else",
        )
    })
}

/// An empty version is the current one.
fn parse_object_version(version: &[u8]) -> Result<String, Refusal> {
    if version.is_empty() {
        return Ok(String::new());
    }
    parse_version(version)
        .ok_or_else(|| Refusal::bad_parameter("a version is 32 hexadecimal digits"))
}

fn rank(api_version: &str) -> Option<usize> {
    API_VERSIONS
        .iter()
        .position(|known| known.eq_ignore_ascii_case(api_version))
}

/// What a path and a method name.
struct Target {
    object: Option<ObjectName>,
    verb: Verb,
    version: String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Method {
    Delete,
    Get,
    Other,
    Patch,
    Post,
    Put,
}

impl Method {
    fn parse(text: &str) -> Self {
        match text {
            "DELETE" => Self::Delete,
            "GET" => Self::Get,
            "PATCH" => Self::Patch,
            "POST" => Self::Post,
            "PUT" => Self::Put,
            _ => Self::Other,
        }
    }
}

macro_rules! words {
    ($($word:ident = $text:literal,)*) => {
        /// The literal segments; any other segment is a name or a version.
        #[derive(Clone, Copy, PartialEq, Eq)]
        enum Word { $($word,)* Other }

        impl Word {
            fn parse(segment: &[u8]) -> Self {
                $(if segment.eq_ignore_ascii_case($text) { return Self::$word; })*
                Self::Other
            }
        }
    };
}

words! {
    Attestation = b"attestation",
    Backup = b"backup",
    Certificates = b"certificates",
    Contacts = b"contacts",
    Create = b"create",
    Decrypt = b"decrypt",
    DeletedCertificates = b"deletedcertificates",
    DeletedKeys = b"deletedkeys",
    DeletedSecrets = b"deletedsecrets",
    Encrypt = b"encrypt",
    Import = b"import",
    Issuers = b"issuers",
    Keys = b"keys",
    Merge = b"merge",
    Pending = b"pending",
    Policy = b"policy",
    Recover = b"recover",
    Release = b"release",
    Restore = b"restore",
    Rng = b"rng",
    Rotate = b"rotate",
    RotationPolicy = b"rotationpolicy",
    Secrets = b"secrets",
    SecureUnwrapKey = b"secureunwrapkey",
    SecureWrapKey = b"securewrapkey",
    Sign = b"sign",
    UnwrapKey = b"unwrapkey",
    Verify = b"verify",
    Versions = b"versions",
    WrapKey = b"wrapkey",
}

/// The most segments any route has.
const MAX_SEGMENTS: usize = 4;

struct Path<'a> {
    segments: Vec<&'a [u8]>,
    words: Vec<Word>,
}

impl<'a> Path<'a> {
    fn split(path: &'a [u8]) -> Option<Self> {
        if path.len() > MAX_PATH {
            return None;
        }
        let inner = path
            .strip_prefix(b"//")
            .or_else(|| path.strip_prefix(b"/"))?;
        let inner = inner.strip_suffix(b"/").unwrap_or(inner);
        let mut segments = Vec::with_capacity(MAX_SEGMENTS);
        for segment in inner.split(|&byte| byte == b'/') {
            if segments.len() == MAX_SEGMENTS {
                return None;
            }
            segments.push(segment);
        }
        let words = segments
            .iter()
            .map(|segment| Word::parse(segment))
            .collect();
        Some(Self { segments, words })
    }

    fn segment(&self, index: usize) -> &'a [u8] {
        self.segments.get(index).copied().unwrap_or_default()
    }

    /// The name in one slot.
    fn object(&self, index: usize) -> Result<Option<ObjectName>, Refusal> {
        parse_object(self.segment(index)).map(Some)
    }

    /// The version in the third slot; empty, with an operation after it, is the current one.
    fn version(&self) -> Result<String, Refusal> {
        parse_object_version(self.segment(2))
    }

    fn bare(verb: Result<Verb, Refusal>) -> Result<Target, Refusal> {
        Ok(Target {
            object: None,
            verb: verb?,
            version: String::new(),
        })
    }

    fn named(&self, verb: Result<Verb, Refusal>) -> Result<Target, Refusal> {
        let verb = verb?;
        Ok(Target {
            object: self.object(1).map_err(|refusal| refusal.about(verb))?,
            verb,
            version: String::new(),
        })
    }

    fn versioned(&self, verb: Result<Verb, Refusal>) -> Result<Target, Refusal> {
        let verb = verb?;
        let refused = |refusal: Refusal| refusal.about(verb);
        let object = self.object(1).map_err(refused)?;
        let version = self.version().map_err(refused)?;
        Ok(Target {
            object,
            verb,
            version,
        })
    }

    /// A version as the last segment. An unknown operation is matched here too: that is a 404.
    fn version_last(&self, method: Method, verbs: &[(Method, Verb)]) -> Result<Target, Refusal> {
        if self.segment(2).is_empty() {
            return Err(Refusal::route());
        }
        if method == Method::Post && parse_version(self.segment(2)).is_none() {
            return Err(Refusal::route());
        }
        self.versioned(pick(method, verbs))
    }
}

fn pick(method: Method, verbs: &[(Method, Verb)]) -> Result<Verb, Refusal> {
    verbs
        .iter()
        .find(|(takes, _)| *takes == method)
        .map(|&(_, verb)| verb)
        .ok_or_else(Refusal::method)
}

fn route(method: &str, path: &[u8]) -> Result<Target, Refusal> {
    let method = Method::parse(method);
    let path = Path::split(path).ok_or_else(Refusal::route)?;
    match path.words.first() {
        Some(Word::Secrets) => secrets(method, &path),
        Some(Word::Keys) => keys(method, &path),
        Some(Word::Certificates) => certificates(method, &path),
        Some(Word::DeletedSecrets) => deleted(
            method,
            &path,
            [
                Verb::SecretListDeleted,
                Verb::SecretGetDeleted,
                Verb::SecretPurge,
                Verb::SecretRecover,
            ],
        ),
        Some(Word::DeletedKeys) => deleted(
            method,
            &path,
            [
                Verb::KeyListDeleted,
                Verb::KeyGetDeleted,
                Verb::KeyPurge,
                Verb::KeyRecover,
            ],
        ),
        Some(Word::DeletedCertificates) => deleted(
            method,
            &path,
            [
                Verb::CertificateListDeleted,
                Verb::CertificateGetDeleted,
                Verb::CertificatePurge,
                Verb::CertificateRecover,
            ],
        ),
        Some(Word::Rng) if path.words.len() == 1 => {
            Path::bare(pick(method, &[(Method::Post, Verb::RandomBytesGet)]))
        }
        _ => Err(Refusal::route()),
    }
}

fn secrets(method: Method, path: &Path<'_>) -> Result<Target, Refusal> {
    use Method::{Delete, Get, Patch, Post, Put};
    match *path.words.get(1..).unwrap_or_default() {
        [] => Path::bare(pick(method, &[(Get, Verb::SecretList)])),
        [Word::Restore] if method == Post => Path::bare(Ok(Verb::SecretRestore)),
        [_] => path.named(pick(
            method,
            &[
                (Get, Verb::SecretGet),
                (Put, Verb::SecretSet),
                (Patch, Verb::SecretUpdate),
                (Delete, Verb::SecretDelete),
            ],
        )),
        [_, Word::Versions] => path.named(pick(method, &[(Get, Verb::SecretListVersions)])),
        [_, Word::Backup] => path.named(pick(method, &[(Post, Verb::SecretBackup)])),
        [_, _] => path.version_last(
            method,
            &[(Get, Verb::SecretGet), (Patch, Verb::SecretUpdate)],
        ),
        _ => Err(Refusal::route()),
    }
}

fn keys(method: Method, path: &Path<'_>) -> Result<Target, Refusal> {
    use Method::{Delete, Get, Patch, Post, Put};
    match *path.words.get(1..).unwrap_or_default() {
        [] => Path::bare(pick(method, &[(Get, Verb::KeyList)])),
        [Word::Restore] if method == Post => Path::bare(Ok(Verb::KeyRestore)),
        [_] => path.named(pick(
            method,
            &[
                (Get, Verb::KeyGet),
                (Put, Verb::KeyImport),
                (Patch, Verb::KeyUpdate),
                (Delete, Verb::KeyDelete),
            ],
        )),
        [_, Word::Versions] => path.named(pick(method, &[(Get, Verb::KeyListVersions)])),
        [_, Word::Backup] => path.named(pick(method, &[(Post, Verb::KeyBackup)])),
        [_, Word::Create] => path.named(pick(method, &[(Post, Verb::KeyCreate)])),
        [_, Word::Rotate] => path.named(pick(method, &[(Post, Verb::KeyRotate)])),
        [_, Word::RotationPolicy] => path.named(pick(
            method,
            &[
                (Get, Verb::KeyRotationPolicyGet),
                (Put, Verb::KeyRotationPolicySet),
            ],
        )),
        [_, word] if use_of(word).is_some() => path.named(pick_use(method, word)),
        [_, _] => path.version_last(method, &[(Get, Verb::KeyGet), (Patch, Verb::KeyUpdate)]),
        [_, _, word] if use_of(word).is_some() => path.versioned(pick_use(method, word)),
        _ => Err(Refusal::route()),
    }
}

/// The uses of a key, which may name its version before them; and their method.
fn use_of(word: Word) -> Option<(Method, Verb)> {
    let verb = match word {
        Word::Attestation => return Some((Method::Get, Verb::KeyAttestationGet)),
        Word::Decrypt => Verb::KeyDecrypt,
        Word::Encrypt => Verb::KeyEncrypt,
        Word::Release => Verb::KeyRelease,
        Word::SecureUnwrapKey => Verb::KeySecureUnwrap,
        Word::SecureWrapKey => Verb::KeySecureWrap,
        Word::Sign => Verb::KeySign,
        Word::UnwrapKey => Verb::KeyUnwrap,
        Word::Verify => Verb::KeyVerify,
        Word::WrapKey => Verb::KeyWrap,
        _ => return None,
    };
    Some((Method::Post, verb))
}

fn pick_use(method: Method, word: Word) -> Result<Verb, Refusal> {
    pick(method, use_of(word).as_slice())
}

fn certificates(method: Method, path: &Path<'_>) -> Result<Target, Refusal> {
    use Method::{Delete, Get, Patch, Post, Put};
    match *path.words.get(1..).unwrap_or_default() {
        [] => Path::bare(pick(method, &[(Get, Verb::CertificateList)])),
        [Word::Restore] if method == Post => Path::bare(Ok(Verb::CertificateRestore)),
        [Word::Contacts] => Path::bare(pick(
            method,
            &[
                (Get, Verb::CertificateContactsGet),
                (Put, Verb::CertificateContactsSet),
                (Delete, Verb::CertificateContactsDelete),
            ],
        )),
        [Word::Issuers] => Path::bare(pick(method, &[(Get, Verb::CertificateIssuersList)])),
        [Word::Issuers, _] => {
            let verb = pick(
                method,
                &[
                    (Get, Verb::CertificateIssuerGet),
                    (Put, Verb::CertificateIssuerSet),
                    (Patch, Verb::CertificateIssuerUpdate),
                    (Delete, Verb::CertificateIssuerDelete),
                ],
            )?;
            Ok(Target {
                object: path.object(2).map_err(|refusal| refusal.about(verb))?,
                verb,
                version: String::new(),
            })
        }
        [Word::Contacts | Word::Issuers, ..] => Err(Refusal::route()),
        [_] => path.named(pick(
            method,
            &[
                (Get, Verb::CertificateGet),
                (Patch, Verb::CertificateUpdate),
                (Delete, Verb::CertificateDelete),
            ],
        )),
        [_, Word::Versions] => path.named(pick(method, &[(Get, Verb::CertificateListVersions)])),
        [_, Word::Backup] => path.named(pick(method, &[(Post, Verb::CertificateBackup)])),
        [_, Word::Create] => path.named(pick(method, &[(Post, Verb::CertificateCreate)])),
        [_, Word::Import] => path.named(pick(method, &[(Post, Verb::CertificateImport)])),
        [_, Word::Pending] => path.named(pick(
            method,
            &[
                (Get, Verb::CertificatePendingGet),
                (Patch, Verb::CertificatePendingUpdate),
                (Delete, Verb::CertificatePendingDelete),
            ],
        )),
        [_, Word::Policy] => path.named(pick(
            method,
            &[
                (Get, Verb::CertificatePolicyGet),
                (Patch, Verb::CertificatePolicyUpdate),
            ],
        )),
        [_, Word::Pending, Word::Merge] => {
            path.named(pick(method, &[(Post, Verb::CertificatePendingMerge)]))
        }
        [_, _] => path.version_last(
            method,
            &[
                (Get, Verb::CertificateGet),
                (Patch, Verb::CertificateUpdate),
            ],
        ),
        _ => Err(Refusal::route()),
    }
}

/// The routes of deleted objects, the same for every kind.
fn deleted(
    method: Method,
    path: &Path<'_>,
    [list, get, purge, recover]: [Verb; 4],
) -> Result<Target, Refusal> {
    use Method::{Delete, Get, Post};
    match *path.words.get(1..).unwrap_or_default() {
        [] => Path::bare(pick(method, &[(Get, list)])),
        [_] => path.named(pick(method, &[(Get, get), (Delete, purge)])),
        [_, Word::Recover] => path.named(pick(method, &[(Post, recover)])),
        _ => Err(Refusal::route()),
    }
}

/// The parameters of a query that are known here.
struct Parameters {
    api_version: &'static str,
    extra: Vec<(&'static str, String)>,
    max_results: Option<u8>,
    skip_token: String,
}

/// Parameters that are passed on unchanged.
const EXTRA: &[&str] = &["includePending", "outContentType", "request_id"];

impl Parameters {
    fn parse(query: &[u8]) -> Result<Self, Refusal> {
        if query.len() > MAX_QUERY {
            return Err(Refusal::bad_parameter(
                "the query is longer than any query needs to be",
            ));
        }
        let mut api_version = None;
        let mut max_results = None;
        let mut skip_token = None;
        let mut extra: Vec<(&'static str, String)> = Vec::new();
        for (index, pair) in query.split(|&byte| byte == b'&').enumerate() {
            if index >= MAX_PARAMETERS {
                return Err(Refusal::bad_parameter("the query has too many parameters"));
            }
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = halves.next().unwrap_or_default();
            if name.eq_ignore_ascii_case("api-version") {
                once(&mut api_version, known_version(&decode(value)?)?)?;
            } else if name.eq_ignore_ascii_case("maxresults") {
                once(&mut max_results, page_size(&decode(value)?)?)?;
            } else if name.eq_ignore_ascii_case("$skiptoken") {
                once(&mut skip_token, token(decode(value)?)?)?;
            } else if let Some(known) = EXTRA.iter().find(|known| known.eq_ignore_ascii_case(&name))
            {
                if extra.iter().any(|(name, _)| name == known) {
                    return Err(twice());
                }
                extra.push((known, short(decode(value)?)?));
            }
        }
        let Some(api_version) = api_version else {
            return Err(Refusal::bad_parameter("api-version must be specified"));
        };
        Ok(Self {
            api_version,
            extra,
            max_results,
            skip_token: skip_token.unwrap_or_default(),
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice()),
    }
}

fn twice() -> Refusal {
    Refusal::bad_parameter("a parameter of the query is given twice")
}

fn known_version(text: &str) -> Result<&'static str, Refusal> {
    if text.is_empty() {
        return Err(Refusal::bad_parameter("api-version must be specified"));
    }
    rank(text)
        .and_then(|rank| API_VERSIONS.get(rank))
        .copied()
        .ok_or_else(|| {
            Refusal::bad_parameter(
                "the api-version is not known; the latest stable one is 2026-04-01",
            )
        })
}

fn page_size(text: &str) -> Result<u8, Refusal> {
    let size = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    };
    size.filter(|size| (1..=MAX_RESULTS).contains(size))
        .ok_or_else(|| Refusal::bad_parameter("maxresults must be a number from 1 to 25"))
}

fn token(text: String) -> Result<String, Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
    if text.len() <= MAX_VALUE && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(Refusal::bad_parameter(
            "$skiptoken is not one that a listing returned",
        ))
    }
}

fn short(text: String) -> Result<String, Refusal> {
    if text.len() <= MAX_VALUE {
        Ok(text)
    } else {
        Err(Refusal::bad_parameter(
            "a parameter of the query is too long",
        ))
    }
}

/// Decodes one name or value of a query (WHATWG URL, application/x-www-form-urlencoded).
fn decode(raw: &[u8]) -> Result<String, Refusal> {
    let malformed = || Refusal::bad_parameter("the query is not well formed");
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().copied().and_then(digit).ok_or_else(malformed)?;
                let low = rest.next().copied().and_then(digit).ok_or_else(malformed)?;
                high << 4 | low
            }
            plain => plain,
        });
    }
    String::from_utf8(decoded).map_err(|_| malformed())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verb(method: &str, path: &str) -> Result<Verb, u16> {
        parse(method, path.as_bytes(), b"api-version=2026-07-01-preview")
            .map(|operation| operation.verb)
            .map_err(|refusal| refusal.status)
    }

    #[test]
    fn literals_win_over_names_and_versions() {
        assert_eq!(verb("POST", "/secrets/restore"), Ok(Verb::SecretRestore));
        assert_eq!(verb("GET", "/secrets/restore"), Ok(Verb::SecretGet));
        assert_eq!(
            verb("GET", "/secrets/a/versions"),
            Ok(Verb::SecretListVersions)
        );
        assert_eq!(
            verb("GET", "/certificates/Contacts"),
            Ok(Verb::CertificateContactsGet)
        );
        assert_eq!(verb("GET", "/secrets/a/backup"), Err(405));
    }

    #[test]
    fn empty_segments_are_the_current_version_or_nothing() {
        assert_eq!(verb("GET", "/keys/a/"), Ok(Verb::KeyGet));
        assert_eq!(verb("POST", "/keys/a//sign"), Ok(Verb::KeySign));
        assert_eq!(verb("GET", "//keys/a"), Ok(Verb::KeyGet));
        assert_eq!(verb("GET", "/keys/a//"), Err(404));
        assert_eq!(verb("GET", "/keys//versions"), Err(400));
        assert_eq!(verb("GET", "///keys"), Err(404));
    }

    #[test]
    fn every_verb_needs_a_permission_and_bears_its_own_name() {
        for &verb in Verb::EVERY {
            assert!(verb.any_of() != Permissions::NONE, "{verb:?}");
            assert_eq!(Verb::named(verb.name()), Some(verb));
            assert_eq!(
                verb.since().is_none(),
                verb.since().and_then(rank).is_none()
            );
        }
    }

    #[test]
    fn routes_name_an_object_where_their_verb_is_about_one() {
        for (method, path) in [
            ("GET", "/secrets"),
            ("POST", "/secrets/restore"),
            ("GET", "/deletedkeys"),
            ("POST", "/rng"),
            ("PUT", "/certificates/contacts"),
            ("GET", "/certificates/issuers"),
            ("GET", "/certificates/issuers/own"),
            ("GET", "/secrets/a"),
            ("POST", "/keys/a/sign"),
            ("DELETE", "/deletedcertificates/a"),
        ] {
            let found = parse(method, path.as_bytes(), b"api-version=2026-04-01");
            assert!(
                found.is_ok_and(|found| found.object.is_some() == found.verb.is_about_an_object()),
                "{path}"
            );
        }
    }

    #[test]
    fn names_are_understood_in_process_as_in_a_path() {
        let version = "0123456789ABCDEF0123456789ABCDEF";
        let named = named(Verb::SecretGet, b"Db", version.as_bytes());
        let parsed = parse(
            "GET",
            format!("/secrets/Db/{version}").as_bytes(),
            b"api-version=7.4",
        );
        assert_eq!(
            named.map(|found| (found.object, found.version)),
            parsed.map(|found| (found.object, found.version))
        );
        for name in [b"" as &[u8], b"../x", b"a/b"] {
            let refusal = super::named(Verb::SecretGet, name, b"").err();
            assert_eq!(
                refusal.map(|refusal| (refusal.status, refusal.verb)),
                Some((400, Some(Verb::SecretGet)))
            );
        }
    }

    #[test]
    fn a_second_permission_is_missed_only_after_the_first() {
        let verb = Verb::KeyEncryptionKeyGet;
        let wrap = Permissions::of(Permission::KeysWrapKey);
        let both = wrap.union(Permissions::of(Permission::KeysUnwrapKey));
        assert_eq!(
            verb.missing(Permissions::NONE),
            Some(Permission::KeysWrapKey)
        );
        assert_eq!(verb.missing(wrap), Some(Permission::KeysUnwrapKey));
        assert_eq!(verb.missing(both), None);
    }

    #[test]
    fn any_bytes_at_all_are_parsed_or_refused() {
        // A small generator, so that the test is the same every time.
        let mut state = 1_u64;
        for _ in 0..if cfg!(miri) { 200 } else { 20_000 } {
            let mut bytes = Vec::new();
            for _ in 0..24 {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                let choice = b"/keys%a?=&.\\\0\xffPOST-_~;+" as &[u8];
                let index = usize::try_from(state >> 33).unwrap_or(0) % choice.len();
                bytes.extend(choice.get(index));
            }
            let (path, query) = bytes.split_at(12);
            if let Err(refusal) = parse("GET", path, query) {
                assert!(matches!(refusal.status, 400 | 404 | 405));
            }
        }
    }
}
