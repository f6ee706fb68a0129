//! Keys in DER: PKCS#8 (RFC 5958), PKCS#1 (RFC 8017), SEC 1 (RFC 5915), SPKI (RFC 5280).

use pkcs1::{RsaPrivateKeyRef, RsaPublicKeyRef, UintRef};
use pkcs8::der::asn1::{BitStringRef, OctetStringRef};
use pkcs8::der::{Decode, Encode, Reader, SliceReader};
use pkcs8::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use sec1::{EcParameters, EcPrivateKey};
use zeroize::Zeroizing;

use super::algorithm::{Curve, MlDsa};
use super::ec::EcKey;
use super::okp::{OkpCurve, OkpKey};
use super::pqc::MlDsaKey;
use super::rsa::{PrivateComponents, RsaKey};
use super::Material;
use crate::{Error, Result};

/// Reads a key in any of the forms; they are distinguished by their structures.
pub(super) fn read(der: &[u8]) -> Result<Material> {
    if let Ok(key) = PrivateKeyInfoRef::from_der(der) {
        read_pkcs8(&key, der)
    } else if let Ok(key) = SubjectPublicKeyInfoRef::from_der(der) {
        read_spki(&key)
    } else if let Ok(key) = RsaPrivateKeyRef::from_der(der) {
        read_rsa_private(&key)
    } else if let Ok(key) = EcPrivateKey::from_der(der) {
        read_sec1(&key, der)
    } else if let Ok(key) = RsaPublicKeyRef::from_der(der) {
        read_rsa_public(&key)
    } else if is_encrypted(der) {
        Err(Error::KeyFormat(
            "the private key is encrypted; decrypt it first".to_owned(),
        ))
    } else {
        Err(Error::KeyFormat(
            "the key is neither PKCS#8, PKCS#1, SEC 1 nor SubjectPublicKeyInfo".to_owned(),
        ))
    }
}

fn read_pkcs8(key: &PrivateKeyInfoRef<'_>, der: &[u8]) -> Result<Material> {
    let private = key.private_key.as_bytes();
    match key.algorithm.oid {
        RSA => {
            check_rsa_parameters(&key.algorithm)?;
            let key =
                RsaPrivateKeyRef::from_der(private).map_err(|_| malformed("RSA private key"))?;
            read_rsa_private(&key)
        }
        EC => {
            let curve = named_curve(&key.algorithm)?;
            EcKey::from_private_der(curve, der).map(Material::from)
        }
        ED25519 => read_okp(OkpCurve::Ed25519, key),
        X25519 => read_okp(OkpCurve::X25519, key),
        ML_DSA_44 => read_ml_dsa(MlDsa::MlDsa44, key, der),
        ML_DSA_65 => read_ml_dsa(MlDsa::MlDsa65, key, der),
        ML_DSA_87 => read_ml_dsa(MlDsa::MlDsa87, key, der),
        other => Err(unknown_algorithm(other)),
    }
}

fn read_okp(curve: OkpCurve, key: &PrivateKeyInfoRef<'_>) -> Result<Material> {
    // RFC 8410 section 7: an OCTET STRING within the OCTET STRING, and no parameters.
    refuse_parameters(&key.algorithm)?;
    let seed = <&OctetStringRef>::from_der(key.private_key.as_bytes())
        .map_err(|_| malformed("OKP private key"))?;
    let public = key
        .public_key
        .map(|bits| bits.as_bytes().ok_or_else(|| malformed("OKP public key")))
        .transpose()?;
    OkpKey::from_seed(curve, seed.as_bytes(), public).map(Material::from)
}

fn read_ml_dsa(set: MlDsa, key: &PrivateKeyInfoRef<'_>, der: &[u8]) -> Result<Material> {
    refuse_parameters(&key.algorithm)?;
    // RFC 9881 section 6: a choice of the seed, the expanded key, or both.
    match key.private_key.as_bytes() {
        [SEED_TAG, 32, seed @ ..] => MlDsaKey::from_seed(set, seed, None).map(Material::from),
        both => {
            let seed = seed_of_both(both).ok_or_else(|| {
                Error::KeyFormat(format!(
                    "the {} private key comes without its seed; write it with the seed",
                    set.name()
                ))
            })?;
            MlDsaKey::check_both(set, der)?;
            MlDsaKey::from_seed(set, seed, None).map(Material::from)
        }
    }
}

fn seed_of_both(both: &[u8]) -> Option<&[u8]> {
    SliceReader::new(both)
        .ok()?
        .sequence(|reader| {
            let seed = <&OctetStringRef>::decode(reader)?;
            <&OctetStringRef>::decode(reader)?;
            pkcs8::der::Result::Ok(seed.as_bytes())
        })
        .ok()
}

fn read_spki(key: &SubjectPublicKeyInfoRef<'_>) -> Result<Material> {
    let bytes = key
        .subject_public_key
        .as_bytes()
        .ok_or_else(|| malformed("SubjectPublicKeyInfo"))?;
    let okp = |curve| {
        refuse_parameters(&key.algorithm)?;
        OkpKey::from_public(curve, bytes).map(Material::from)
    };
    let ml_dsa = |set| {
        refuse_parameters(&key.algorithm)?;
        MlDsaKey::from_public(set, bytes).map(Material::from)
    };
    match key.algorithm.oid {
        RSA => {
            check_rsa_parameters(&key.algorithm)?;
            let key = RsaPublicKeyRef::from_der(bytes).map_err(|_| malformed("RSA public key"))?;
            read_rsa_public(&key)
        }
        EC => EcKey::from_point(named_curve(&key.algorithm)?, bytes).map(Material::from),
        ED25519 => okp(OkpCurve::Ed25519),
        X25519 => okp(OkpCurve::X25519),
        ML_DSA_44 => ml_dsa(MlDsa::MlDsa44),
        ML_DSA_65 => ml_dsa(MlDsa::MlDsa65),
        ML_DSA_87 => ml_dsa(MlDsa::MlDsa87),
        other => Err(unknown_algorithm(other)),
    }
}

fn read_rsa_private(key: &RsaPrivateKeyRef<'_>) -> Result<Material> {
    if key.other_prime_infos.is_some() {
        return Err(Error::KeyFormat(
            "the RSA key has more than two primes".to_owned(),
        ));
    }
    let secret = |number: &UintRef<'_>| Zeroizing::new(number.as_bytes().to_vec());
    let private = PrivateComponents {
        d: secret(&key.private_exponent),
        p: secret(&key.prime1),
        q: secret(&key.prime2),
        dp: secret(&key.exponent1),
        dq: secret(&key.exponent2),
        qi: secret(&key.coefficient),
    };
    RsaKey::from_components(
        key.modulus.as_bytes(),
        key.public_exponent.as_bytes(),
        &private,
    )
    .map(Material::from)
}

fn read_rsa_public(key: &RsaPublicKeyRef<'_>) -> Result<Material> {
    RsaKey::from_public(key.modulus.as_bytes(), key.public_exponent.as_bytes()).map(Material::from)
}

fn read_sec1(key: &EcPrivateKey<'_>, der: &[u8]) -> Result<Material> {
    let Some(EcParameters::NamedCurve(oid)) = key.parameters else {
        return Err(Error::KeyFormat(
            "the EC private key does not name its curve".to_owned(),
        ));
    };
    EcKey::from_private_der(curve_of(oid)?, der).map(Material::from)
}

/// Whether it looks like `EncryptedPrivateKeyInfo` (RFC 5958 section 3).
fn is_encrypted(der: &[u8]) -> bool {
    SliceReader::new(der).is_ok_and(|mut reader| {
        reader
            .sequence(|reader| {
                AlgorithmIdentifierRef::decode(reader)?;
                <&OctetStringRef>::decode(reader)
            })
            .is_ok()
    })
}

/// The private key as PKCS#8.
pub(super) fn write_private(material: &Material) -> Result<Zeroizing<Vec<u8>>> {
    match material {
        Material::Ec(key) => key.private_pkcs8(),
        Material::Hybrid(_) => Err(super::sealed_only()),
        Material::MlDsa(key) => {
            let seed = key.seed()?;
            let mut inner = Zeroizing::new(Vec::with_capacity(2 + seed.len()));
            inner.extend_from_slice(&[SEED_TAG, 32]);
            inner.extend_from_slice(seed);
            write_pkcs8(ml_dsa_oid(key.set()), &inner)
        }
        Material::Oct(_) => Err(Error::Usage(
            "a symmetric key has no PEM or DER form; export it as a JWK".to_owned(),
        )),
        Material::Okp(key) => {
            let seed = key.seed()?;
            // RFC 8410 section 7: the seed as an OCTET STRING of its own.
            let inner = OctetStringRef::new(&seed)
                .and_then(|seed| seed.to_der())
                .map(Zeroizing::new)
                .map_err(|_| Error::Backend)?;
            write_pkcs8(okp_oid(key.curve()), &inner)
        }
        Material::Rsa(key) => Ok(Zeroizing::new(key.private_pkcs8()?.as_ref().to_vec())),
    }
}

/// The public key as `SubjectPublicKeyInfo`.
pub(super) fn write_public(material: &Material) -> Result<Vec<u8>> {
    match material {
        Material::Ec(key) => key.public_der(),
        Material::Hybrid(_) => Err(Error::Usage(
            "a hybrid key has no PEM or DER form; use its JWK".to_owned(),
        )),
        Material::MlDsa(key) => write_spki(ml_dsa_oid(key.set()), key.public()),
        Material::Oct(_) => Err(Error::Usage(
            "a symmetric key has no public form".to_owned(),
        )),
        Material::Okp(key) => write_spki(okp_oid(key.curve()), key.public()),
        Material::Rsa(key) => key.public_der(),
    }
}

fn write_pkcs8(oid: ObjectIdentifier, inner: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    OctetStringRef::new(inner)
        .and_then(|inner| {
            PrivateKeyInfoRef::new(
                AlgorithmIdentifierRef {
                    oid,
                    parameters: None,
                },
                inner,
            )
            .to_der()
        })
        .map(Zeroizing::new)
        .map_err(|_| Error::Backend)
}

fn write_spki(oid: ObjectIdentifier, public: &[u8]) -> Result<Vec<u8>> {
    BitStringRef::from_bytes(public)
        .and_then(|subject_public_key| {
            let algorithm = AlgorithmIdentifierRef {
                oid,
                parameters: None,
            };
            SubjectPublicKeyInfoRef {
                algorithm,
                subject_public_key,
            }
            .to_der()
        })
        .map_err(|_| Error::Backend)
}

fn check_rsa_parameters(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<()> {
    // RFC 3279 section 2.3.1: NULL. Some writers leave it out.
    match algorithm.parameters {
        None => Ok(()),
        Some(parameters) if parameters.is_null() => Ok(()),
        Some(_) => Err(malformed("key parameters")),
    }
}

/// RFC 8410 section 3 and RFC 9881 section 2: parameters must be absent.
fn refuse_parameters(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<()> {
    match algorithm.parameters {
        None => Ok(()),
        Some(_) => Err(malformed("key parameters")),
    }
}

fn named_curve(algorithm: &AlgorithmIdentifierRef<'_>) -> Result<Curve> {
    algorithm
        .parameters
        .and_then(|parameters| parameters.decode_as::<ObjectIdentifier>().ok())
        .ok_or_else(|| Error::KeyFormat("the EC key does not name its curve".to_owned()))
        .and_then(curve_of)
}

fn curve_of(oid: ObjectIdentifier) -> Result<Curve> {
    CURVES
        .iter()
        .find(|(known, _)| *known == oid)
        .map(|(_, curve)| *curve)
        .ok_or_else(|| {
            Error::KeyFormat("the curve is not one of P-256, P-256K, P-384 and P-521".to_owned())
        })
}

fn okp_oid(curve: OkpCurve) -> ObjectIdentifier {
    match curve {
        OkpCurve::Ed25519 => ED25519,
        OkpCurve::X25519 => X25519,
    }
}

fn ml_dsa_oid(set: MlDsa) -> ObjectIdentifier {
    match set {
        MlDsa::MlDsa44 => ML_DSA_44,
        MlDsa::MlDsa65 => ML_DSA_65,
        MlDsa::MlDsa87 => ML_DSA_87,
    }
}

fn malformed(what: &str) -> Error {
    Error::KeyFormat(format!("the {what} is malformed"))
}

fn unknown_algorithm(oid: ObjectIdentifier) -> Error {
    Error::KeyFormat(format!("keys of algorithm {oid} are not supported"))
}

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const X25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.110");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const ML_DSA_44: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.17");
const ML_DSA_65: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.18");
const ML_DSA_87: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.3.19");
/// `[0] IMPLICIT OCTET STRING` (RFC 9881 section 6).
const SEED_TAG: u8 = 0x80;
const CURVES: &[(ObjectIdentifier, Curve)] = &[
    (
        ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
        Curve::P256,
    ),
    (ObjectIdentifier::new_unwrap("1.3.132.0.10"), Curve::P256K),
    (ObjectIdentifier::new_unwrap("1.3.132.0.34"), Curve::P384),
    (ObjectIdentifier::new_unwrap("1.3.132.0.35"), Curve::P521),
];
