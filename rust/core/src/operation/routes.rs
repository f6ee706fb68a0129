//! From method and path to a verb and the object that it is about.

use super::{parse_object, parse_object_version, Refusal, Verb};
use crate::name::{parse_version, ObjectName};

/// The longest accepted path.
const MAX_PATH: usize = 1024;
/// What a path and a method name.
pub(super) struct Target {
    pub(super) object: Option<ObjectName>,
    pub(super) verb: Verb,
    pub(super) version: String,
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

pub(super) fn route(method: &str, path: &[u8]) -> Result<Target, Refusal> {
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
