//! Keys: the algorithms and names of JOSE and of Azure Key Vault.
//!
//! A [`Key`] does what its type can do. The caller decides whether it may.

mod algorithm;
mod der;
mod ec;
mod jwk;
mod oct;
mod okp;
mod pem;
mod pqc;
mod private;
mod rsa;

use aws_lc_rs::digest;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use zeroize::Zeroizing;

use self::algorithm::quoted;
pub use self::algorithm::{AesSize, Algorithm, Curve, Hash, MlDsa, OaepHash};
use self::ec::EcKey;
pub use self::jwk::Jwk;
use self::oct::OctKey;
use self::okp::{OkpCurve, OkpKey};
use self::pqc::{HybridKey, MlDsaKey};
use self::rsa::RsaKey;
use crate::{Error, Result};

/// A key. It has no `Debug`, no `Clone` and no comparison, so that its material stays in its place.
pub struct Key {
    material: Material,
    exportable: bool,
}

enum Material {
    Ec(Box<EcKey>),
    Hybrid(Box<HybridKey>),
    MlDsa(Box<MlDsaKey>),
    Oct(Box<OctKey>),
    Okp(Box<OkpKey>),
    Rsa(Box<RsaKey>),
}

/// The result of encrypting.
#[derive(Debug)]
pub struct Encrypted {
    /// The ciphertext, without nonce and tag.
    pub ciphertext: Vec<u8>,
    /// The nonce, for the modes that have one.
    pub nonce: Option<Vec<u8>>,
    /// The authentication tag, for the modes that have one.
    pub tag: Option<Vec<u8>>,
}

/// Whether a key's private part may be exported by [`Key::export_private_jwk`] and the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Export {
    /// It may.
    Allowed,
    /// It may not.
    Refused,
}

/// The shape of a new key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape<'a> {
    /// For this algorithm.
    Algorithm(&'a str),
    /// On this curve.
    Curve(&'a str),
    /// The default of its type.
    Default,
    /// Of this many bits.
    Size(usize),
}

/// One of the operations of a key, for [`Key::estimate_ns`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// An operation with the public key: verify, encrypt, wrap.
    Public,
    /// An operation with the private key: sign, decrypt, unwrap.
    Private,
}

impl Key {
    /// Creates a key of type `kty`, with that type's default shape if none is given.
    pub fn generate(kty: &str, shape: Shape<'_>, export: Export) -> Result<Self> {
        let material = match (kty, shape) {
            ("RSA", Shape::Default) => RsaKey::generate(2048)?.into(),
            ("RSA", Shape::Size(bits)) => RsaKey::generate(bits)?.into(),
            ("EC", Shape::Default) => EcKey::generate(Curve::P256)?.into(),
            ("EC", Shape::Curve(curve)) => EcKey::generate(Curve::parse(curve)?)?.into(),
            ("oct", Shape::Default) => OctKey::generate(256)?.into(),
            ("oct", Shape::Size(bits)) => OctKey::generate(bits)?.into(),
            ("OKP", Shape::Default) => OkpKey::generate(OkpCurve::Ed25519)?.into(),
            ("OKP", Shape::Curve(curve)) => OkpKey::generate(OkpCurve::parse(curve)?)?.into(),
            ("AKP", Shape::Default) => MlDsaKey::generate(MlDsa::MlDsa65)?.into(),
            ("AKP", Shape::Algorithm(name)) if name == Algorithm::HybridWrap.name() => {
                HybridKey::generate()?.into()
            }
            ("AKP", Shape::Algorithm(name)) => MlDsaKey::generate(MlDsa::parse(name)?)?.into(),
            ("RSA" | "oct", _) => {
                return Err(Error::Usage(format!(
                    "a key of type {kty} is created with a size"
                )))
            }
            ("EC" | "OKP", _) => {
                return Err(Error::Usage(format!(
                    "a key of type {kty} is created with a curve"
                )))
            }
            ("AKP", _) => {
                return Err(Error::Usage(
                    "a key of type AKP is created with an algorithm".to_owned(),
                ))
            }
            _ => return Err(unknown_type(kty)),
        };
        Ok(Self::new(material, export))
    }

    /// Reads a JWK (RFC 7517): public, private or symmetric.
    pub fn from_jwk(jwk: &Jwk, export: Export) -> Result<Self> {
        Ok(Self::new(jwk::read(jwk)?, export))
    }

    /// Reads PEM (RFC 7468): one key, among any other blocks.
    pub fn from_pem(text: &[u8], export: Export) -> Result<Self> {
        Ok(Self::new(pem::read(text)?, export))
    }

    /// Reads DER: PKCS#8, PKCS#1, SEC 1 or `SubjectPublicKeyInfo`.
    pub fn from_der(bytes: &[u8], export: Export) -> Result<Self> {
        Ok(Self::new(der::read(bytes)?, export))
    }

    fn new(material: Material, export: Export) -> Self {
        Self {
            material,
            exportable: export == Export::Allowed,
        }
    }

    /// The type, by its name in a JWK.
    #[must_use]
    pub fn kty(&self) -> &'static str {
        match self.material {
            Material::Ec(_) => "EC",
            Material::Hybrid(_) | Material::MlDsa(_) => "AKP",
            Material::Oct(_) => "oct",
            Material::Okp(_) => "OKP",
            Material::Rsa(_) => "RSA",
        }
    }

    /// The size in bits: of the modulus, of the field, of the secret, or of an AKP public key.
    #[must_use]
    pub fn size(&self) -> usize {
        match &self.material {
            Material::Ec(key) => key.curve().bits(),
            Material::Hybrid(key) => key.public().len() * 8,
            Material::MlDsa(key) => key.public().len() * 8,
            Material::Oct(key) => key.bits(),
            Material::Okp(_) => 256,
            Material::Rsa(key) => key.bits(),
        }
    }

    /// The curve, of a key that has one.
    #[must_use]
    pub fn curve(&self) -> Option<&'static str> {
        match &self.material {
            Material::Ec(key) => Some(key.curve().name()),
            Material::Okp(key) => Some(key.curve().name()),
            Material::Hybrid(_) | Material::MlDsa(_) | Material::Oct(_) | Material::Rsa(_) => None,
        }
    }

    /// Whether the key has its private part; a symmetric key has no other.
    #[must_use]
    pub fn is_private(&self) -> bool {
        match &self.material {
            Material::Ec(key) => key.is_private(),
            Material::Hybrid(key) => key.is_private(),
            Material::MlDsa(key) => key.is_private(),
            Material::Oct(_) => true,
            Material::Okp(key) => key.is_private(),
            Material::Rsa(key) => key.is_private(),
        }
    }

    /// Whether the private part may be exported.
    #[must_use]
    pub fn exportable(&self) -> bool {
        self.exportable
    }

    /// The names of the algorithms that fit this key.
    #[must_use]
    pub fn algorithms(&self) -> Vec<&'static str> {
        match &self.material {
            Material::Ec(key) => vec![Algorithm::Ecdsa(key.curve()).name()],
            Material::Hybrid(_) => vec![Algorithm::HybridWrap.name()],
            Material::MlDsa(key) => vec![Algorithm::MlDsa(key.set()).name()],
            Material::Oct(key) => oct_algorithms(key),
            Material::Okp(key) => match key.curve() {
                OkpCurve::Ed25519 => vec![Algorithm::EdDsa.name()],
                OkpCurve::X25519 => Vec::new(),
            },
            Material::Rsa(_) => RSA_ALGORITHMS.to_vec(),
        }
    }

    /// Signs a digest; HMAC, `EdDSA` and ML-DSA sign the value itself.
    pub fn sign(&self, algorithm: Algorithm, value: &[u8]) -> Result<Vec<u8>> {
        match &self.material {
            Material::Ec(key) => key.sign(algorithm, value),
            Material::Hybrid(_) => Err(unfit(algorithm, self.kty())),
            Material::MlDsa(key) => key.sign(algorithm, value),
            Material::Oct(key) => key.sign(algorithm, value),
            Material::Okp(key) => key.sign(algorithm, value),
            Material::Rsa(key) => key.sign(algorithm, value),
        }
    }

    /// Verifies a signature of a digest; HMAC, `EdDSA` and ML-DSA verify the value itself.
    pub fn verify(&self, algorithm: Algorithm, value: &[u8], signature: &[u8]) -> Result<bool> {
        match &self.material {
            Material::Ec(key) => key.verify(algorithm, value, signature),
            Material::Hybrid(_) => Err(unfit(algorithm, self.kty())),
            Material::MlDsa(key) => key.verify(algorithm, value, signature),
            Material::Oct(key) => key.verify(algorithm, value, signature),
            Material::Okp(key) => key.verify(algorithm, value, signature),
            Material::Rsa(key) => key.verify(algorithm, value, signature),
        }
    }

    /// Encrypts. GCM creates its nonce; the CBC family needs one of 16 bytes.
    pub fn encrypt(
        &self,
        algorithm: Algorithm,
        plaintext: &[u8],
        nonce: Option<&[u8]>,
        associated_data: &[u8],
    ) -> Result<Encrypted> {
        match &self.material {
            Material::Oct(key) => key.encrypt(algorithm, plaintext, nonce, associated_data),
            Material::Rsa(key) => {
                refuse_symmetric_inputs(algorithm, nonce, None, associated_data)?;
                let ciphertext = key.encrypt(algorithm, plaintext)?;
                Ok(Encrypted {
                    ciphertext,
                    nonce: None,
                    tag: None,
                })
            }
            Material::Ec(_) | Material::Hybrid(_) | Material::MlDsa(_) | Material::Okp(_) => {
                Err(unfit(algorithm, self.kty()))
            }
        }
    }

    /// Decrypts what [`Key::encrypt`] encrypted; every failure of that is the same error.
    pub fn decrypt(
        &self,
        algorithm: Algorithm,
        ciphertext: &[u8],
        nonce: Option<&[u8]>,
        tag: Option<&[u8]>,
        associated_data: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        match &self.material {
            Material::Oct(key) => key.decrypt(algorithm, ciphertext, nonce, tag, associated_data),
            Material::Rsa(key) => {
                refuse_symmetric_inputs(algorithm, nonce, tag, associated_data)?;
                key.decrypt(algorithm, ciphertext)
            }
            Material::Ec(_) | Material::Hybrid(_) | Material::MlDsa(_) | Material::Okp(_) => {
                Err(unfit(algorithm, self.kty()))
            }
        }
    }

    /// Wraps another key's bytes.
    pub fn wrap(&self, algorithm: Algorithm, key: &[u8]) -> Result<Vec<u8>> {
        match &self.material {
            Material::Hybrid(kek) => kek.wrap(algorithm, key),
            Material::Oct(kek) => kek.wrap(algorithm, key),
            Material::Rsa(kek) => kek.encrypt(algorithm, key),
            Material::Ec(_) | Material::MlDsa(_) | Material::Okp(_) => {
                Err(unfit(algorithm, self.kty()))
            }
        }
    }

    /// Unwraps what [`Key::wrap`] wrapped; every failure of that is the same error.
    pub fn unwrap(&self, algorithm: Algorithm, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        match &self.material {
            Material::Hybrid(kek) => kek.unwrap(algorithm, wrapped),
            Material::Oct(kek) => kek.unwrap(algorithm, wrapped),
            Material::Rsa(kek) => kek.decrypt(algorithm, wrapped),
            Material::Ec(_) | Material::MlDsa(_) | Material::Okp(_) => {
                Err(unfit(algorithm, self.kty()))
            }
        }
    }

    /// How long an operation on `len` bytes takes, roughly, on a current machine.
    #[must_use]
    pub fn estimate_ns(&self, operation: Operation, len: usize) -> u64 {
        let fixed = match (&self.material, operation) {
            (Material::Rsa(key), Operation::Private) => match key.bits() {
                0..=2048 => 600_000,
                2049..=3072 => 1_800_000,
                _ => 4_000_000,
            },
            (Material::Rsa(_), Operation::Public) => 25_000,
            (Material::Ec(key), operation) => match (key.curve(), operation) {
                (Curve::P256, Operation::Private) => 15_000,
                (Curve::P256, Operation::Public) => 40_000,
                (Curve::P256K | Curve::P384, _) => 150_000,
                (Curve::P521, _) => 250_000,
            },
            (Material::Hybrid(_) | Material::Okp(_), _) => 60_000,
            (Material::MlDsa(_), Operation::Private) => 250_000,
            (Material::MlDsa(_), Operation::Public) => 80_000,
            (Material::Oct(_), _) => 500,
        };
        // The slowest of the hashes and modes takes about a nanosecond per byte.
        fixed + len as u64
    }

    /// The members of the public JWK, in the order in which they are written.
    pub fn public_jwk(&self) -> Result<Vec<(&'static str, String)>> {
        jwk::public(&self.material)
    }

    /// The public key as PEM `PUBLIC KEY` (RFC 7468 section 13).
    pub fn public_pem(&self) -> Result<String> {
        Ok(
            pem::write("PUBLIC KEY", &der::write_public(&self.material)?)
                .as_str()
                .to_owned(),
        )
    }

    /// The public key as DER `SubjectPublicKeyInfo` (RFC 5280 section 4.1).
    pub fn public_der(&self) -> Result<Vec<u8>> {
        der::write_public(&self.material)
    }

    /// The thumbprint of the public JWK, with SHA-256 (RFC 7638).
    pub fn thumbprint(&self) -> Result<String> {
        if let Material::Oct(_) = self.material {
            // RFC 7638 section 7: it would be a hash of the secret, open to guessing.
            return Err(Error::Usage(
                "a symmetric key has no thumbprint, because that would be a hash of the secret"
                    .to_owned(),
            ));
        }
        let mut members = self.public_jwk()?;
        members.sort_unstable();
        // The names and base64url need no escaping (RFC 7638 section 3.3).
        let body: Vec<String> = members
            .iter()
            .map(|(name, value)| format!("\"{name}\":\"{value}\""))
            .collect();
        let text = format!("{{{}}}", body.join(","));
        Ok(URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, text.as_bytes())))
    }

    /// The members of the private JWK: the only way to export a private key, besides its PEM form.
    pub fn export_private_jwk(&self) -> Result<Vec<(&'static str, Zeroizing<String>)>> {
        self.check_export()?;
        jwk::private(&self.material)
    }

    /// The private key as PEM `PRIVATE KEY`, PKCS#8 (RFC 7468 section 10).
    pub fn export_private_pem(&self) -> Result<Zeroizing<String>> {
        self.check_export()?;
        Ok(pem::write(
            "PRIVATE KEY",
            &der::write_private(&self.material)?,
        ))
    }

    fn check_export(&self) -> Result<()> {
        if !self.is_private() {
            Err(no_private_part())
        } else if self.exportable || matches!(self.material, Material::Oct(_)) {
            Ok(())
        } else {
            Err(Error::Usage(
                "this key is not exportable; that is decided when it is created or imported"
                    .to_owned(),
            ))
        }
    }

    /// The bytes of a symmetric key, for deriving others from.
    pub(crate) fn symmetric(&self) -> Option<&[u8]> {
        match &self.material {
            Material::Oct(key) => Some(key.value()),
            _ => None,
        }
    }

    /// The private key in the form in which it is sealed. It is for sealing only.
    pub fn encode_private(&self) -> Result<Zeroizing<Vec<u8>>> {
        private::encode(self)
    }

    /// Reads what [`Key::encode_private`] wrote.
    pub fn decode_private(bytes: &[u8]) -> Result<Self> {
        private::decode(bytes)
    }
}

impl From<EcKey> for Material {
    fn from(key: EcKey) -> Self {
        Self::Ec(Box::new(key))
    }
}

impl From<HybridKey> for Material {
    fn from(key: HybridKey) -> Self {
        Self::Hybrid(Box::new(key))
    }
}

impl From<MlDsaKey> for Material {
    fn from(key: MlDsaKey) -> Self {
        Self::MlDsa(Box::new(key))
    }
}

impl From<OctKey> for Material {
    fn from(key: OctKey) -> Self {
        Self::Oct(Box::new(key))
    }
}

impl From<OkpKey> for Material {
    fn from(key: OkpKey) -> Self {
        Self::Okp(Box::new(key))
    }
}

impl From<RsaKey> for Material {
    fn from(key: RsaKey) -> Self {
        Self::Rsa(Box::new(key))
    }
}

fn oct_algorithms(key: &OctKey) -> Vec<&'static str> {
    let mut algorithms = Vec::new();
    if let Some(size) = key.aes_size() {
        algorithms.extend([
            Algorithm::Gcm(size).name(),
            Algorithm::Cbc(size).name(),
            Algorithm::CbcPad(size).name(),
            Algorithm::KeyWrap(Some(size)).name(),
            Algorithm::KeyWrapPad(Some(size)).name(),
            Algorithm::KeyWrap(None).name(),
            Algorithm::KeyWrapPad(None).name(),
        ]);
    }
    algorithms.extend(
        [Hash::Sha256, Hash::Sha384, Hash::Sha512]
            .into_iter()
            .filter(|hash| hash.output_len() * 8 <= key.bits())
            .map(|hash| Algorithm::Hmac(hash).name()),
    );
    algorithms
}

fn refuse_symmetric_inputs(
    algorithm: Algorithm,
    nonce: Option<&[u8]>,
    tag: Option<&[u8]>,
    associated_data: &[u8],
) -> Result<()> {
    if nonce.is_none() && tag.is_none() && associated_data.is_empty() {
        Ok(())
    } else {
        Err(Error::Algorithm(format!(
            "{} needs no nonce, no tag and no associated data",
            algorithm.name()
        )))
    }
}

fn unfit(algorithm: Algorithm, kty: &str) -> Error {
    Error::Algorithm(format!(
        "{} is not an algorithm for this with a key of type {kty}",
        algorithm.name()
    ))
}

fn unknown_type(kty: &str) -> Error {
    Error::KeyFormat(format!("there is no key type {}", quoted(kty)))
}

fn sealed_only() -> Error {
    Error::Usage("a hybrid private key has no standard form; seal it instead".to_owned())
}

fn no_private_part() -> Error {
    Error::Usage("this key is public; the operation needs the private key".to_owned())
}

const RSA_ALGORITHMS: &[&str] = &[
    "RSA-OAEP-256",
    "RSA-OAEP",
    "RSA1_5",
    "PS256",
    "PS384",
    "PS512",
    "RS256",
    "RS384",
    "RS512",
    "RSNULL",
];
