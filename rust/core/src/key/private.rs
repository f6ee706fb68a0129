//! The form of a private key inside an envelope.
//!
//! ```text
//! version (1) || family (1) || flags (1) || material
//! ```
//!
//! It is never stored in the clear, so it needs no strictness beyond what the backend checks; it is
//! short, fixed, and contains no public part that could contradict the private one, unless
//! recomputing it would cost more than checking it.

use zeroize::Zeroizing;

use super::algorithm::{Curve, MlDsa};
use super::ec::EcKey;
use super::oct::OctKey;
use super::okp::{OkpCurve, OkpKey};
use super::pqc::{HybridKey, MlDsaKey};
use super::rsa::RsaKey;
use super::{no_private_part, Export, Key, Material};
use crate::{Error, Result};

/// Encodes a private or symmetric key.
pub(super) fn encode(key: &Key) -> Result<Zeroizing<Vec<u8>>> {
    if !key.is_private() {
        return Err(no_private_part());
    }
    let flags = if key.exportable { EXPORTABLE } else { 0 };
    Ok(match &key.material {
        Material::Ec(key) => {
            let curve = match key.curve() {
                Curve::P256 => 1,
                Curve::P256K => 2,
                Curve::P384 => 3,
                Curve::P521 => 4,
            };
            join(&[&[VERSION, EC, flags, curve], &key.scalar()?, key.point()])
        }
        Material::Hybrid(key) => join(&[&[VERSION, HYBRID, flags], &key.private()?]),
        Material::MlDsa(key) => {
            let set = match key.set() {
                MlDsa::MlDsa44 => 1,
                MlDsa::MlDsa65 => 2,
                MlDsa::MlDsa87 => 3,
            };
            join(&[&[VERSION, ML_DSA, flags, set], key.seed()?])
        }
        Material::Oct(key) => join(&[&[VERSION, OCT, flags], key.value()]),
        Material::Okp(key) => {
            let curve = match key.curve() {
                OkpCurve::Ed25519 => 1,
                OkpCurve::X25519 => 2,
            };
            join(&[&[VERSION, OKP, flags, curve], &key.seed()?])
        }
        Material::Rsa(key) => join(&[&[VERSION, RSA, flags], key.private_pkcs8()?.as_ref()]),
    })
}

/// Decodes what [`encode`] wrote. What does not decode was not written by it: one error for all.
pub(super) fn decode(bytes: &[u8]) -> Result<Key> {
    let [VERSION, family, flags, material @ ..] = bytes else {
        return Err(Error::Decrypt);
    };
    let export = match *flags {
        0 => Export::Refused,
        EXPORTABLE => Export::Allowed,
        _ => return Err(Error::Decrypt),
    };
    let material = match (*family, material) {
        (EC, [curve, rest @ ..]) => {
            let curve = match *curve {
                1 => Curve::P256,
                2 => Curve::P256K,
                3 => Curve::P384,
                4 => Curve::P521,
                _ => return Err(Error::Decrypt),
            };
            rest.split_at_checked(curve.coordinate_len())
                .ok_or(Error::Decrypt)
                .and_then(|(scalar, point)| EcKey::from_scalar_and_point(curve, scalar, point))
                .map(Material::from)
        }
        (HYBRID, private) => HybridKey::from_private(private).map(Material::from),
        (ML_DSA, [set, seed @ ..]) => {
            let set = match *set {
                1 => MlDsa::MlDsa44,
                2 => MlDsa::MlDsa65,
                3 => MlDsa::MlDsa87,
                _ => return Err(Error::Decrypt),
            };
            MlDsaKey::from_seed(set, seed, None).map(Material::from)
        }
        (OCT, value) => OctKey::from_bytes(value).map(Material::from),
        (OKP, [1, seed @ ..]) => {
            OkpKey::from_seed(OkpCurve::Ed25519, seed, None).map(Material::from)
        }
        (OKP, [2, seed @ ..]) => {
            OkpKey::from_seed(OkpCurve::X25519, seed, None).map(Material::from)
        }
        (RSA, der) => RsaKey::from_own_pkcs8(der).map(Material::from),
        _ => Err(Error::Decrypt),
    };
    Ok(Key::new(material.map_err(|_| Error::Decrypt)?, export))
}

/// Joins parts in a buffer of the right size, so that no copy remains.
fn join(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut joined = Zeroizing::new(Vec::with_capacity(
        parts.iter().map(|part| part.len()).sum(),
    ));
    for part in parts {
        joined.extend_from_slice(part);
    }
    joined
}

const VERSION: u8 = 1;
const EXPORTABLE: u8 = 1;
const RSA: u8 = 1;
const EC: u8 = 2;
const OKP: u8 = 3;
const OCT: u8 = 4;
const ML_DSA: u8 = 5;
const HYBRID: u8 = 6;

#[cfg(test)]
mod tests;
