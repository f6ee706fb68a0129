//! EC keys for ECDSA (FIPS 186-5, SEC 1), signatures as `r || s`.

use aws_lc_rs::encoding::{AsBigEndian, AsDer, EcPrivateKeyBin};
use aws_lc_rs::signature::{
    EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair, ParsedPublicKey,
    ECDSA_P256K1_SHA256_FIXED, ECDSA_P256K1_SHA256_FIXED_SIGNING, ECDSA_P256_SHA256_FIXED,
    ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED, ECDSA_P384_SHA384_FIXED_SIGNING,
    ECDSA_P521_SHA512_FIXED, ECDSA_P521_SHA512_FIXED_SIGNING,
};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Curve};
use super::no_private_part;
use crate::{Error, Result};

/// An EC key, public or with its private part.
pub(super) struct EcKey {
    curve: Curve,
    // `0x04 || x || y` (SEC 1 section 2.3.3).
    point: Vec<u8>,
    verifying: ParsedPublicKey,
    signing: Option<EcdsaKeyPair>,
}

impl EcKey {
    pub(super) fn generate(curve: Curve) -> Result<Self> {
        let pair = EcdsaKeyPair::generate(signing(curve)).map_err(|_| Error::Backend)?;
        Self::from_pair(curve, pair)
    }

    /// A public key from a point in any encoding of SEC 1; the point must be on the curve.
    pub(super) fn from_point(curve: Curve, point: &[u8]) -> Result<Self> {
        let verifying =
            ParsedPublicKey::new(verifying(curve), point).map_err(|_| off_curve(curve))?;
        let point = match point.first() {
            Some(&UNCOMPRESSED) => point.to_vec(),
            _ => uncompressed(&verifying, curve)?,
        };
        Ok(Self {
            curve,
            point,
            verifying,
            signing: None,
        })
    }

    /// A key from its coordinates, and its private scalar if there is one, all of full width.
    pub(super) fn from_coordinates(
        curve: Curve,
        x: &[u8],
        y: &[u8],
        d: Option<&[u8]>,
    ) -> Result<Self> {
        for (number, name) in [(Some(x), "x"), (Some(y), "y"), (d, "d")] {
            if number.is_some_and(|number| number.len() != curve.coordinate_len()) {
                return Err(Error::KeyFormat(format!(
                    "member `{name}` must have {} bytes for curve {}",
                    curve.coordinate_len(),
                    curve.name()
                )));
            }
        }
        let point = [&[UNCOMPRESSED], x, y].concat();
        match d {
            None => Self::from_point(curve, &point),
            Some(d) => Self::from_scalar_and_point(curve, d, &point),
        }
    }

    /// A private key from its scalar and its public point, which must agree.
    pub(super) fn from_scalar_and_point(curve: Curve, d: &[u8], point: &[u8]) -> Result<Self> {
        // Distinguishes a bad point from a bad scalar before the two are compared.
        ParsedPublicKey::new(verifying(curve), point).map_err(|_| off_curve(curve))?;
        let pair = EcdsaKeyPair::from_private_key_and_public_key(signing(curve), d, point)
            .map_err(|_| {
                Error::KeyFormat(
                    "the EC private key is out of range or does not fit its public key".to_owned(),
                )
            })?;
        Self::from_pair(curve, pair)
    }

    /// A private key from PKCS#8 or SEC 1 (RFC 5915) that names the curve or leaves it out.
    pub(super) fn from_private_der(curve: Curve, der: &[u8]) -> Result<Self> {
        let pair = EcdsaKeyPair::from_private_key_der(signing(curve), der).map_err(|_| {
            Error::KeyFormat(
                "the EC private key is out of range or does not fit its public key".to_owned(),
            )
        })?;
        Self::from_pair(curve, pair)
    }

    fn from_pair(curve: Curve, pair: EcdsaKeyPair) -> Result<Self> {
        let point = pair.public_key().as_ref().to_vec();
        let verifying =
            ParsedPublicKey::new(verifying(curve), &point).map_err(|_| Error::Backend)?;
        Ok(Self {
            curve,
            point,
            verifying,
            signing: Some(pair),
        })
    }

    pub(super) fn curve(&self) -> Curve {
        self.curve
    }

    /// The point as `0x04 || x || y`.
    pub(super) fn point(&self) -> &[u8] {
        &self.point
    }

    /// The coordinates of the point, of full width.
    pub(super) fn coordinates(&self) -> Result<(&[u8], &[u8])> {
        let (_, coordinates) = self.point.split_first().ok_or(Error::Backend)?;
        coordinates
            .split_at_checked(self.curve.coordinate_len())
            .ok_or(Error::Backend)
    }

    /// The private scalar, of full width.
    pub(super) fn scalar(&self) -> Result<Zeroizing<Vec<u8>>> {
        let pair = self.signing.as_ref().ok_or_else(no_private_part)?;
        let scalar: EcPrivateKeyBin<'static> = pair
            .private_key()
            .as_be_bytes()
            .map_err(|_| Error::Backend)?;
        Ok(Zeroizing::new(scalar.as_ref().to_vec()))
    }

    pub(super) fn is_private(&self) -> bool {
        self.signing.is_some()
    }

    pub(super) fn sign(&self, algorithm: Algorithm, value: &[u8]) -> Result<Vec<u8>> {
        let digest = self.digest(algorithm, value)?;
        let pair = self.signing.as_ref().ok_or_else(no_private_part)?;
        let signature = pair.sign_digest(&digest).map_err(|_| Error::Backend)?;
        Ok(signature.as_ref().to_vec())
    }

    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        value: &[u8],
        signature: &[u8],
    ) -> Result<bool> {
        let digest = self.digest(algorithm, value)?;
        Ok(self.verifying.verify_digest_sig(&digest, signature).is_ok())
    }

    fn digest(&self, algorithm: Algorithm, value: &[u8]) -> Result<aws_lc_rs::digest::Digest> {
        match algorithm {
            Algorithm::Ecdsa(curve) if curve == self.curve => curve.hash().import(value, algorithm),
            Algorithm::Ecdsa(curve) => Err(Error::Algorithm(format!(
                "{} needs a key on {}, and this one is on {}",
                algorithm.name(),
                curve.name(),
                self.curve.name()
            ))),
            other => Err(super::unfit(other, "EC")),
        }
    }

    /// The private key as PKCS#8 (RFC 5208).
    pub(super) fn private_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>> {
        let pair = self.signing.as_ref().ok_or_else(no_private_part)?;
        let document = pair.to_pkcs8v1().map_err(|_| Error::Backend)?;
        Ok(Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The public key as `SubjectPublicKeyInfo` (RFC 5480).
    pub(super) fn public_der(&self) -> Result<Vec<u8>> {
        Ok(self
            .verifying
            .as_der()
            .map_err(|_| Error::Backend)?
            .as_ref()
            .to_vec())
    }
}

/// The point of a parsed key in the uncompressed form, whatever its original form.
fn uncompressed(key: &ParsedPublicKey, curve: Curve) -> Result<Vec<u8>> {
    let der = key.as_der().map_err(|_| Error::Backend)?;
    // A SubjectPublicKeyInfo ends with the point.
    let len = 1 + 2 * curve.coordinate_len();
    let start = der.as_ref().len().checked_sub(len).ok_or(Error::Backend)?;
    der.as_ref()
        .get(start..)
        .filter(|point| point.first() == Some(&UNCOMPRESSED))
        .map(<[u8]>::to_vec)
        .ok_or(Error::Backend)
}

fn off_curve(curve: Curve) -> Error {
    Error::KeyFormat(format!(
        "the public key is not a point on curve {}",
        curve.name()
    ))
}

fn signing(curve: Curve) -> &'static EcdsaSigningAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED_SIGNING,
        Curve::P256K => &ECDSA_P256K1_SHA256_FIXED_SIGNING,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED_SIGNING,
    }
}

fn verifying(curve: Curve) -> &'static EcdsaVerificationAlgorithm {
    match curve {
        Curve::P256 => &ECDSA_P256_SHA256_FIXED,
        Curve::P256K => &ECDSA_P256K1_SHA256_FIXED,
        Curve::P384 => &ECDSA_P384_SHA384_FIXED,
        Curve::P521 => &ECDSA_P521_SHA512_FIXED,
    }
}

const UNCOMPRESSED: u8 = 4;
