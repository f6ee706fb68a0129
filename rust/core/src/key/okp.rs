//! Octet key pairs: Ed25519 (RFC 8032) and X25519 (RFC 7748), in the JWK form of RFC 8037.

use aws_lc_rs::agreement;
use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
use aws_lc_rs::rand;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair, ParsedPublicKey, ED25519};
use zeroize::Zeroizing;

use super::algorithm::{quoted, Algorithm};
use super::no_private_part;
use crate::{Error, Result};

/// The curve of an octet key pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OkpCurve {
    Ed25519,
    X25519,
}

/// An octet key pair, public or with its private part.
pub(super) struct OkpKey {
    public: [u8; LEN],
    secret: Secret,
}

enum Secret {
    Ed25519 {
        verifying: ParsedPublicKey,
        signing: Option<Ed25519KeyPair>,
    },
    X25519 {
        agreeing: Option<agreement::PrivateKey>,
    },
}

impl OkpCurve {
    pub(super) fn parse(name: &str) -> Result<Self> {
        match name {
            "Ed25519" => Ok(Self::Ed25519),
            "X25519" => Ok(Self::X25519),
            _ => Err(Error::KeyFormat(format!(
                "there is no curve {} for OKP keys; use Ed25519 or X25519",
                quoted(name)
            ))),
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ed25519 => "Ed25519",
            Self::X25519 => "X25519",
        }
    }
}

impl OkpKey {
    pub(super) fn generate(curve: OkpCurve) -> Result<Self> {
        // RFC 8032 section 5.1.5 and RFC 7748 section 6.1: any 32 random bytes.
        let mut seed = Zeroizing::new([0; LEN]);
        rand::fill(seed.as_mut()).map_err(|_| Error::Backend)?;
        Self::from_seed(curve, seed.as_ref(), None)
    }

    pub(super) fn from_public(curve: OkpCurve, public: &[u8]) -> Result<Self> {
        let public = exact(public, "x")?;
        let secret = match curve {
            OkpCurve::Ed25519 => Secret::Ed25519 {
                verifying: ParsedPublicKey::new(&ED25519, public)
                    .map_err(|_| Error::KeyFormat("the Ed25519 key is not valid".to_owned()))?,
                signing: None,
            },
            OkpCurve::X25519 => Secret::X25519 { agreeing: None },
        };
        Ok(Self { public, secret })
    }

    /// A private key from its seed; the public key is checked if it is given.
    pub(super) fn from_seed(curve: OkpCurve, seed: &[u8], public: Option<&[u8]>) -> Result<Self> {
        if seed.len() != LEN {
            return Err(Error::KeyFormat(format!(
                "member `d` must have {LEN} bytes"
            )));
        }
        let key = match curve {
            OkpCurve::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| Error::Backend)?;
                let public = exact(pair.public_key().as_ref(), "x")?;
                let verifying =
                    ParsedPublicKey::new(&ED25519, public).map_err(|_| Error::Backend)?;
                Self {
                    public,
                    secret: Secret::Ed25519 {
                        verifying,
                        signing: Some(pair),
                    },
                }
            }
            OkpCurve::X25519 => {
                let pair = agreement::PrivateKey::from_private_key(&agreement::X25519, seed)
                    .map_err(|_| Error::Backend)?;
                let computed = pair.compute_public_key().map_err(|_| Error::Backend)?;
                let public = exact(computed.as_ref(), "x")?;
                Self {
                    public,
                    secret: Secret::X25519 {
                        agreeing: Some(pair),
                    },
                }
            }
        };
        if public.is_some_and(|public| public != key.public) {
            return Err(Error::KeyFormat(format!(
                "the {} private key does not fit its public key",
                curve.name()
            )));
        }
        Ok(key)
    }

    pub(super) fn curve(&self) -> OkpCurve {
        match self.secret {
            Secret::Ed25519 { .. } => OkpCurve::Ed25519,
            Secret::X25519 { .. } => OkpCurve::X25519,
        }
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn is_private(&self) -> bool {
        match &self.secret {
            Secret::Ed25519 { signing, .. } => signing.is_some(),
            Secret::X25519 { agreeing } => agreeing.is_some(),
        }
    }

    /// The private seed.
    pub(super) fn seed(&self) -> Result<Zeroizing<Vec<u8>>> {
        let seed: Curve25519SeedBin<'static> = match &self.secret {
            Secret::Ed25519 { signing, .. } => signing
                .as_ref()
                .ok_or_else(no_private_part)?
                .seed()
                .and_then(|seed| seed.as_be_bytes()),
            Secret::X25519 { agreeing } => {
                agreeing.as_ref().ok_or_else(no_private_part)?.as_be_bytes()
            }
        }
        .map_err(|_| Error::Backend)?;
        Ok(Zeroizing::new(seed.as_ref().to_vec()))
    }

    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        match (&self.secret, algorithm) {
            (Secret::Ed25519 { signing, .. }, Algorithm::EdDsa) => {
                let pair = signing.as_ref().ok_or_else(no_private_part)?;
                let signature = pair.try_sign(message).map_err(|_| Error::Backend)?;
                Ok(signature.as_ref().to_vec())
            }
            (_, other) => Err(super::unfit(other, self.curve().name())),
        }
    }

    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool> {
        match (&self.secret, algorithm) {
            (Secret::Ed25519 { verifying, .. }, Algorithm::EdDsa) => {
                Ok(verifying.verify_sig(message, signature).is_ok())
            }
            (_, other) => Err(super::unfit(other, self.curve().name())),
        }
    }
}

fn exact(bytes: &[u8], member: &str) -> Result<[u8; LEN]> {
    bytes
        .try_into()
        .map_err(|_| Error::KeyFormat(format!("member `{member}` must have {LEN} bytes")))
}

const LEN: usize = 32;
