//! RSA keys (RFC 8017).

use std::sync::OnceLock;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rsa::{
    KeyPairComponents, KeySize, OaepAlgorithm, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    Pkcs1PublicEncryptingKey, PrivateDecryptingKey, PublicEncryptingKey, OAEP_SHA1_MGF1SHA1,
    OAEP_SHA256_MGF1SHA256,
};
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, RsaEncoding, RsaKeyPair, RsaParameters, RsaPublicKeyComponents,
    RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512,
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_2048_8192_SHA256,
    RSA_PSS_2048_8192_SHA384, RSA_PSS_2048_8192_SHA512, RSA_PSS_SHA256, RSA_PSS_SHA384,
    RSA_PSS_SHA512,
};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Hash, OaepHash};
use super::no_private_part;
use crate::{Error, Result};

/// An RSA key, public or with its private part.
pub(super) struct RsaKey {
    public: RsaPublicKeyComponents<Vec<u8>>,
    bits: usize,
    encrypting: PublicEncryptingKey,
    verifying: [OnceLock<ParsedPublicKey>; 6],
    private: Option<Private>,
}

/// The two forms of one private key that the backend needs.
struct Private {
    signing: RsaKeyPair,
    // Created at the first decryption: most keys only sign, and parsing costs as much as a
    // signature.
    decrypting: OnceLock<OaepPrivateDecryptingKey>,
}

/// The components of a private key, as in a JWK (RFC 7518 section 6.3.2).
pub(super) struct PrivateComponents {
    pub(super) d: Zeroizing<Vec<u8>>,
    pub(super) p: Zeroizing<Vec<u8>>,
    pub(super) q: Zeroizing<Vec<u8>>,
    pub(super) dp: Zeroizing<Vec<u8>>,
    pub(super) dq: Zeroizing<Vec<u8>>,
    pub(super) qi: Zeroizing<Vec<u8>>,
}

impl RsaKey {
    pub(super) fn generate(bits: usize) -> Result<Self> {
        let size = match bits {
            2048 => KeySize::Rsa2048,
            3072 => KeySize::Rsa3072,
            4096 => KeySize::Rsa4096,
            _ => {
                return Err(Error::Usage(format!(
                    "an RSA key of {bits} bits cannot be created; use 2048, 3072 or 4096"
                )))
            }
        };
        Self::from_pair(RsaKeyPair::generate(size).map_err(|_| Error::Backend)?)
    }

    /// A public key from its modulus and exponent, big-endian without leading zeros.
    pub(super) fn from_public(modulus: &[u8], exponent: &[u8]) -> Result<Self> {
        Self::new(modulus, exponent, None)
    }

    /// A private key from all its components, which must agree with each other.
    pub(super) fn from_components(
        modulus: &[u8],
        exponent: &[u8],
        private: &PrivateComponents,
    ) -> Result<Self> {
        check_public(modulus, exponent)?;
        let pair = RsaKeyPair::from_components(&KeyPairComponents {
            public_key: RsaPublicKeyComponents {
                n: modulus,
                e: exponent,
            },
            d: private.d.as_slice(),
            p: private.p.as_slice(),
            q: private.q.as_slice(),
            dP: private.dp.as_slice(),
            dQ: private.dq.as_slice(),
            qInv: private.qi.as_slice(),
        })
        .map_err(|_| {
            Error::KeyFormat("the components of the RSA private key do not agree".to_owned())
        })?;
        let key = Self::from_pair(pair)?;
        key.check_pairwise()?;
        Ok(key)
    }

    /// A private key from PKCS#8 that this process wrote itself.
    pub(super) fn from_own_pkcs8(der: &[u8]) -> Result<Self> {
        Self::from_pair(RsaKeyPair::from_pkcs8(der).map_err(|_| Error::Decrypt)?)
    }

    fn from_pair(pair: RsaKeyPair) -> Result<Self> {
        let modulus = pair
            .public_key()
            .modulus()
            .big_endian_without_leading_zero()
            .to_vec();
        let exponent = pair
            .public_key()
            .exponent()
            .big_endian_without_leading_zero()
            .to_vec();
        let private = Private {
            signing: pair,
            decrypting: OnceLock::new(),
        };
        Self::new(&modulus, &exponent, Some(private))
    }

    fn new(modulus: &[u8], exponent: &[u8], private: Option<Private>) -> Result<Self> {
        let bits = check_public(modulus, exponent)?;
        let public = RsaPublicKeyComponents {
            n: modulus.to_vec(),
            e: exponent.to_vec(),
        };
        let der = public.as_der().map_err(|_| bad_public())?;
        // The backend checks a public key only when it parses DER.
        let encrypting = PublicEncryptingKey::from_der(der.as_ref()).map_err(|_| bad_public())?;
        Ok(Self {
            public,
            bits,
            encrypting,
            verifying: Default::default(),
            private,
        })
    }

    /// Signs and verifies once: components that agree modulo a composite `p` are not a key.
    fn check_pairwise(&self) -> Result<()> {
        let value = [0x5a; 32];
        let algorithm = Algorithm::Pkcs1(Hash::Sha256);
        let agrees = self
            .sign(algorithm, &value)
            .and_then(|signature| self.verify(algorithm, &value, &signature));
        if agrees == Ok(true) {
            Ok(())
        } else {
            Err(Error::KeyFormat(
                "the RSA private key does not fit its public key".to_owned(),
            ))
        }
    }

    pub(super) fn bits(&self) -> usize {
        self.bits
    }

    pub(super) fn modulus(&self) -> &[u8] {
        &self.public.n
    }

    pub(super) fn exponent(&self) -> &[u8] {
        &self.public.e
    }

    pub(super) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    fn modulus_len(&self) -> usize {
        self.public.n.len()
    }

    fn private(&self) -> Result<&Private> {
        self.private.as_ref().ok_or_else(no_private_part)
    }

    pub(super) fn sign(&self, algorithm: Algorithm, value: &[u8]) -> Result<Vec<u8>> {
        let (scheme, digest) = scheme(algorithm, value)?;
        let encoding: &'static dyn RsaEncoding = match scheme {
            Algorithm::Pkcs1(Hash::Sha256) => &RSA_PKCS1_SHA256,
            Algorithm::Pkcs1(Hash::Sha384) => &RSA_PKCS1_SHA384,
            Algorithm::Pkcs1(Hash::Sha512) => &RSA_PKCS1_SHA512,
            Algorithm::Pss(Hash::Sha256) => &RSA_PSS_SHA256,
            Algorithm::Pss(Hash::Sha384) => &RSA_PSS_SHA384,
            Algorithm::Pss(Hash::Sha512) => &RSA_PSS_SHA512,
            other => return Err(super::unfit(other, "RSA")),
        };
        let mut signature = vec![0; self.modulus_len()];
        self.private()?
            .signing
            .sign_digest(encoding, &digest, &mut signature)
            .map_err(|_| Error::Backend)?;
        Ok(signature)
    }

    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        value: &[u8],
        signature: &[u8],
    ) -> Result<bool> {
        let (scheme, digest) = scheme(algorithm, value)?;
        let [rs256, rs384, rs512, ps256, ps384, ps512] = &self.verifying;
        let (cell, parameters): (_, &'static RsaParameters) = match scheme {
            Algorithm::Pkcs1(Hash::Sha256) => (rs256, &RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Pkcs1(Hash::Sha384) => (rs384, &RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Pkcs1(Hash::Sha512) => (rs512, &RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Pss(Hash::Sha256) => (ps256, &RSA_PSS_2048_8192_SHA256),
            Algorithm::Pss(Hash::Sha384) => (ps384, &RSA_PSS_2048_8192_SHA384),
            Algorithm::Pss(Hash::Sha512) => (ps512, &RSA_PSS_2048_8192_SHA512),
            other => return Err(super::unfit(other, "RSA")),
        };
        let key = if let Some(key) = cell.get() {
            key
        } else {
            let key = self
                .public
                .to_parsed_public_key(parameters)
                .map_err(|_| Error::Backend)?;
            cell.get_or_init(|| key)
        };
        Ok(key.verify_digest_sig(&digest, signature).is_ok())
    }

    pub(super) fn encrypt(&self, algorithm: Algorithm, plaintext: &[u8]) -> Result<Vec<u8>> {
        let overhead = match algorithm {
            Algorithm::Oaep(hash) => 2 * hash.output_len() + 2,
            Algorithm::Pkcs1Encrypt => 11,
            other => return Err(super::unfit(other, "RSA")),
        };
        let most = self.modulus_len().saturating_sub(overhead);
        if plaintext.len() > most {
            return Err(Error::Algorithm(format!(
                "{} with this key encrypts at most {most} bytes, not {}",
                algorithm.name(),
                plaintext.len()
            )));
        }
        let mut ciphertext = vec![0; self.modulus_len()];
        let key = self.encrypting.clone();
        let written = match algorithm {
            Algorithm::Oaep(hash) => OaepPublicEncryptingKey::new(key)
                .and_then(|key| {
                    key.encrypt(oaep(hash), plaintext, &mut ciphertext, None)
                        .map(|out| out.len())
                })
                .map_err(|_| Error::Backend)?,
            _ => Pkcs1PublicEncryptingKey::new(key)
                .and_then(|key| key.encrypt(plaintext, &mut ciphertext).map(|out| out.len()))
                .map_err(|_| Error::Backend)?,
        };
        ciphertext.truncate(written);
        Ok(ciphertext)
    }

    pub(super) fn decrypt(
        &self,
        algorithm: Algorithm,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        let hash = match algorithm {
            Algorithm::Oaep(hash) => hash,
            Algorithm::Pkcs1Encrypt => {
                // The backend reports bad padding by an error, not by implicit rejection, and that
                // difference is Bleichenbacher's oracle.
                return Err(Error::Algorithm(
                    "RSA1_5 decryption is refused, because it would be a padding oracle; \
                     encrypt with RSA-OAEP-256"
                        .to_owned(),
                ));
            }
            other => return Err(super::unfit(other, "RSA")),
        };
        let key = self.private()?.decrypting()?;
        let mut plaintext = Zeroizing::new(vec![0; self.modulus_len()]);
        let written = key
            .decrypt(oaep(hash), ciphertext, &mut plaintext, None)
            .map_err(|_| Error::Decrypt)?
            .len();
        plaintext.truncate(written);
        Ok(plaintext)
    }

    /// The private key as PKCS#8 (RFC 5208), wiped when dropped.
    pub(super) fn private_pkcs8(&self) -> Result<Pkcs8V1Der<'static>> {
        self.private()?.signing.as_der().map_err(|_| Error::Backend)
    }

    /// The public key as `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
    pub(super) fn public_der(&self) -> Result<Vec<u8>> {
        Ok(self
            .public
            .as_der()
            .map_err(|_| Error::Backend)?
            .as_ref()
            .to_vec())
    }
}

impl Private {
    fn decrypting(&self) -> Result<&OaepPrivateDecryptingKey> {
        if let Some(key) = self.decrypting.get() {
            return Ok(key);
        }
        let der: Pkcs8V1Der<'static> = self.signing.as_der().map_err(|_| Error::Backend)?;
        let key = PrivateDecryptingKey::from_pkcs8(der.as_ref())
            .ok()
            .and_then(|key| OaepPrivateDecryptingKey::new(key).ok())
            .ok_or(Error::Backend)?;
        Ok(self.decrypting.get_or_init(|| key))
    }
}

/// The scheme and the digest of a signature; `RSNULL` carries both in the value.
fn scheme(algorithm: Algorithm, value: &[u8]) -> Result<(Algorithm, aws_lc_rs::digest::Digest)> {
    match algorithm {
        Algorithm::Pkcs1(hash) | Algorithm::Pss(hash) => {
            Ok((algorithm, hash.import(value, algorithm)?))
        }
        Algorithm::Pkcs1Null => {
            let (hash, digest) = DIGEST_INFOS
                .iter()
                .find_map(|(hash, prefix)| Some((*hash, value.strip_prefix(*prefix)?)))
                .ok_or_else(|| {
                    Error::Algorithm(
                        "RSNULL signs a DER DigestInfo of SHA-256, SHA-384 or SHA-512; \
                         the backend signs no other block"
                            .to_owned(),
                    )
                })?;
            let scheme = Algorithm::Pkcs1(hash);
            Ok((scheme, hash.import(digest, algorithm)?))
        }
        other => Err(super::unfit(other, "RSA")),
    }
}

fn oaep(hash: OaepHash) -> &'static OaepAlgorithm {
    match hash {
        OaepHash::Sha1 => &OAEP_SHA1_MGF1SHA1,
        OaepHash::Sha256 => &OAEP_SHA256_MGF1SHA256,
    }
}

/// Checks what can be checked in a public key without its factors; returns the size in bits.
fn check_public(modulus: &[u8], exponent: &[u8]) -> Result<usize> {
    let bits = bit_len(modulus, "modulus")?;
    if !(SMALLEST..=LARGEST).contains(&bits) || bits % 8 != 0 {
        return Err(Error::KeyFormat(format!(
            "an RSA modulus of {bits} bits is refused; \
             it must have {SMALLEST} to {LARGEST} bits, in whole bytes"
        )));
    }
    if !is_odd(modulus) {
        return Err(Error::KeyFormat("the RSA modulus is even".to_owned()));
    }
    let exponent_bits = bit_len(exponent, "public exponent")?;
    if !is_odd(exponent) || exponent_bits < 2 {
        return Err(Error::KeyFormat(
            "the RSA public exponent must be odd and greater than 1".to_owned(),
        ));
    }
    if exponent_bits > LARGEST_EXPONENT {
        return Err(Error::KeyFormat(format!(
            "the RSA public exponent has more than {LARGEST_EXPONENT} bits"
        )));
    }
    Ok(bits)
}

fn bit_len(number: &[u8], what: &str) -> Result<usize> {
    match number.first() {
        None => Err(Error::KeyFormat(format!("the RSA {what} is empty"))),
        Some(0) => Err(Error::KeyFormat(format!(
            "the RSA {what} starts with a zero byte"
        ))),
        Some(first) => Ok(number.len() * 8 - first.leading_zeros() as usize),
    }
}

fn is_odd(number: &[u8]) -> bool {
    number.last().is_some_and(|last| last & 1 == 1)
}

fn bad_public() -> Error {
    Error::KeyFormat("the RSA public key is not valid".to_owned())
}

/// Smaller moduli are within reach of an attacker (SP 800-131A).
const SMALLEST: usize = 2048;
/// Larger ones cost so much per signature that they are an attack on the service.
const LARGEST: usize = 4096;
/// The backend's limit, which keeps verification cheap.
const LARGEST_EXPONENT: usize = 33;

/// The bytes before the digest in a `DigestInfo` (RFC 8017 section 9.2, note 1).
const DIGEST_INFOS: &[(Hash, &[u8])] = &[
    (
        Hash::Sha256,
        b"\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20",
    ),
    (
        Hash::Sha384,
        b"\x30\x41\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x02\x05\x00\x04\x30",
    ),
    (
        Hash::Sha512,
        b"\x30\x51\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x03\x05\x00\x04\x40",
    ),
];
