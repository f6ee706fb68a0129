//! The algorithms, by the names of JOSE (RFC 7518, RFC 8037, RFC 8812) and of Azure Key Vault.

use aws_lc_rs::digest;

use crate::{Error, Result};

/// An algorithm for one of the operations of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Algorithm {
    /// AES-CBC over whole blocks, without padding.
    Cbc(AesSize),
    /// AES-CBC with PKCS#7 padding (RFC 5652 section 6.3).
    CbcPad(AesSize),
    /// ECDSA with the curve's own digest, as `r || s` (RFC 7518 section 3.4).
    Ecdsa(Curve),
    /// Ed25519 over the message itself (RFC 8032, RFC 8037).
    EdDsa,
    /// AES-GCM with a 96-bit nonce and a 128-bit tag (SP 800-38D).
    Gcm(AesSize),
    /// HMAC over the value as given (RFC 2104).
    Hmac(Hash),
    /// ML-KEM-768 and X25519 together, then AES-256 key wrap with padding.
    HybridWrap,
    /// AES key wrap (RFC 3394); without a size, that of the key.
    KeyWrap(Option<AesSize>),
    /// AES key wrap with padding (RFC 5649); without a size, that of the key.
    KeyWrapPad(Option<AesSize>),
    /// ML-DSA over the message itself, with an empty context (FIPS 204).
    MlDsa(MlDsa),
    /// RSAES-OAEP, MGF1 with the same digest (RFC 8017 section 7.1).
    Oaep(OaepHash),
    /// RSASSA-PKCS1-v1_5 (RFC 8017 section 8.2).
    Pkcs1(Hash),
    /// RSAES-PKCS1-v1_5 (RFC 8017 section 7.2).
    Pkcs1Encrypt,
    /// RSASSA-PKCS1-v1_5 over a `DigestInfo` from the caller.
    Pkcs1Null,
    /// RSASSA-PSS, salt as long as the digest, MGF1 with the same digest (RFC 8017 section 8.1).
    Pss(Hash),
}

/// The size of an AES key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AesSize {
    /// 128 bits.
    Bits128,
    /// 192 bits.
    Bits192,
    /// 256 bits.
    Bits256,
}

/// A digest of the SHA-2 family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

/// The digest of RSAES-OAEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OaepHash {
    /// SHA-1; its collisions do not matter to OAEP.
    Sha1,
    /// SHA-256.
    Sha256,
}

/// A curve of an EC key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Curve {
    /// NIST P-256.
    P256,
    /// secp256k1, which Azure calls P-256K.
    P256K,
    /// NIST P-384.
    P384,
    /// NIST P-521.
    P521,
}

/// A parameter set of ML-DSA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MlDsa {
    /// ML-DSA-44.
    MlDsa44,
    /// ML-DSA-65.
    MlDsa65,
    /// ML-DSA-87.
    MlDsa87,
}

impl Algorithm {
    /// Parses an algorithm's name; names are case-sensitive, as in RFC 7518.
    pub fn parse(name: &str) -> Result<Self> {
        NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, algorithm)| *algorithm)
            .ok_or_else(|| Error::Algorithm(format!("there is no algorithm {}", quoted(name))))
    }

    /// The algorithm's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        NAMES
            .iter()
            .find(|(_, known)| *known == self)
            .map_or("", |(name, _)| name)
    }
}

impl AesSize {
    /// The size of a key of this many bytes.
    #[must_use]
    pub fn of_key(key: &[u8]) -> Option<Self> {
        match key.len() {
            16 => Some(Self::Bits128),
            24 => Some(Self::Bits192),
            32 => Some(Self::Bits256),
            _ => None,
        }
    }
}

impl Hash {
    /// The length of the digest in bytes.
    #[must_use]
    pub fn output_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The backend's name of the digest.
    pub(super) fn backend(self) -> &'static digest::Algorithm {
        match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
        }
    }

    /// Takes a digest that the caller computed; its length must be exact.
    pub(super) fn import(self, value: &[u8], algorithm: Algorithm) -> Result<digest::Digest> {
        digest::Digest::import_less_safe(value, self.backend()).map_err(|_| {
            Error::Algorithm(format!(
                "{} signs a digest of {} bytes, not of {}",
                algorithm.name(),
                self.output_len(),
                value.len()
            ))
        })
    }
}

impl OaepHash {
    /// The length of the digest in bytes.
    pub(super) fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }
}

impl Curve {
    /// Parses a curve's name: Azure's, and `secp256k1` of RFC 8812.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "P-256" => Ok(Self::P256),
            "P-256K" | "secp256k1" => Ok(Self::P256K),
            "P-384" => Ok(Self::P384),
            "P-521" => Ok(Self::P521),
            _ => Err(Error::KeyFormat(format!(
                "there is no curve {} for EC keys; use P-256, P-256K, P-384 or P-521",
                quoted(name)
            ))),
        }
    }

    /// The curve's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::P256 => "P-256",
            Self::P256K => "P-256K",
            Self::P384 => "P-384",
            Self::P521 => "P-521",
        }
    }

    /// The digest that goes with the curve (RFC 7518 section 3.4, RFC 8812 section 3.2).
    #[must_use]
    pub fn hash(self) -> Hash {
        match self {
            Self::P256 | Self::P256K => Hash::Sha256,
            Self::P384 => Hash::Sha384,
            Self::P521 => Hash::Sha512,
        }
    }

    /// The size of the field in bits.
    #[must_use]
    pub fn bits(self) -> usize {
        match self {
            Self::P256 | Self::P256K => 256,
            Self::P384 => 384,
            Self::P521 => 521,
        }
    }

    /// The length of a coordinate and of a private scalar in bytes.
    #[must_use]
    pub fn coordinate_len(self) -> usize {
        self.bits().div_ceil(8)
    }
}

impl MlDsa {
    /// Parses the name of a parameter set.
    pub fn parse(name: &str) -> Result<Self> {
        match name {
            "ML-DSA-44" => Ok(Self::MlDsa44),
            "ML-DSA-65" => Ok(Self::MlDsa65),
            "ML-DSA-87" => Ok(Self::MlDsa87),
            _ => Err(Error::KeyFormat(format!(
                "there is no algorithm {} for AKP keys; \
                 use ML-DSA-44, ML-DSA-65, ML-DSA-87 or MLKEM768-X25519+A256KWPAD",
                quoted(name)
            ))),
        }
    }

    /// The name of the parameter set.
    #[must_use]
    pub fn name(self) -> &'static str {
        Algorithm::MlDsa(self).name()
    }
}

/// A caller's word in a message: limited in length, and without anything that breaks a line.
pub(super) fn quoted(word: &str) -> String {
    const LONGEST: usize = 32;
    if word.len() <= LONGEST
        && word
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'`')
    {
        format!("`{word}`")
    } else {
        "of that name".to_owned()
    }
}

/// Every name; if an algorithm has two, the first is the one that is returned.
const NAMES: &[(&str, Algorithm)] = &[
    ("A128CBC", Algorithm::Cbc(AesSize::Bits128)),
    ("A192CBC", Algorithm::Cbc(AesSize::Bits192)),
    ("A256CBC", Algorithm::Cbc(AesSize::Bits256)),
    ("A128CBCPAD", Algorithm::CbcPad(AesSize::Bits128)),
    ("A192CBCPAD", Algorithm::CbcPad(AesSize::Bits192)),
    ("A256CBCPAD", Algorithm::CbcPad(AesSize::Bits256)),
    ("A128GCM", Algorithm::Gcm(AesSize::Bits128)),
    ("A192GCM", Algorithm::Gcm(AesSize::Bits192)),
    ("A256GCM", Algorithm::Gcm(AesSize::Bits256)),
    ("A128KW", Algorithm::KeyWrap(Some(AesSize::Bits128))),
    ("A192KW", Algorithm::KeyWrap(Some(AesSize::Bits192))),
    ("A256KW", Algorithm::KeyWrap(Some(AesSize::Bits256))),
    ("A128KWPAD", Algorithm::KeyWrapPad(Some(AesSize::Bits128))),
    ("A192KWPAD", Algorithm::KeyWrapPad(Some(AesSize::Bits192))),
    ("A256KWPAD", Algorithm::KeyWrapPad(Some(AesSize::Bits256))),
    ("CKM_AES_KEY_WRAP", Algorithm::KeyWrap(None)),
    ("CKM_AES_KEY_WRAP_PAD", Algorithm::KeyWrapPad(None)),
    ("ES256", Algorithm::Ecdsa(Curve::P256)),
    ("ES256K", Algorithm::Ecdsa(Curve::P256K)),
    ("ES384", Algorithm::Ecdsa(Curve::P384)),
    ("ES512", Algorithm::Ecdsa(Curve::P521)),
    ("EdDSA", Algorithm::EdDsa),
    ("Ed25519", Algorithm::EdDsa),
    ("HS256", Algorithm::Hmac(Hash::Sha256)),
    ("HS384", Algorithm::Hmac(Hash::Sha384)),
    ("HS512", Algorithm::Hmac(Hash::Sha512)),
    ("ML-DSA-44", Algorithm::MlDsa(MlDsa::MlDsa44)),
    ("ML-DSA-65", Algorithm::MlDsa(MlDsa::MlDsa65)),
    ("ML-DSA-87", Algorithm::MlDsa(MlDsa::MlDsa87)),
    ("PS256", Algorithm::Pss(Hash::Sha256)),
    ("PS384", Algorithm::Pss(Hash::Sha384)),
    ("PS512", Algorithm::Pss(Hash::Sha512)),
    ("RS256", Algorithm::Pkcs1(Hash::Sha256)),
    ("RS384", Algorithm::Pkcs1(Hash::Sha384)),
    ("RS512", Algorithm::Pkcs1(Hash::Sha512)),
    ("RSNULL", Algorithm::Pkcs1Null),
    ("RSA-OAEP", Algorithm::Oaep(OaepHash::Sha1)),
    ("RSA-OAEP-256", Algorithm::Oaep(OaepHash::Sha256)),
    ("RSA1_5", Algorithm::Pkcs1Encrypt),
    ("MLKEM768-X25519+A256KWPAD", Algorithm::HybridWrap),
];
