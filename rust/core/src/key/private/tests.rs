use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;

use super::*;
use crate::key::{Jwk, Shape};

/// Stored keys must open for ever: each line is a JWK, and its encoding by version 1.
const WRITTEN: &[(&str, &str)] = &[
    (
        // RFC 7515 appendix A.3.
        r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0","d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"}"#,
        "AQIBAY6bEJ5xkJi_mASH3x9dd-nLKWBuvtImO19XwhPfhPSyBH_Nzidw9sRdQYPL7m_bS3tYBzM1e-nvE7rPbjx70VRFx_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    ),
    (
        // RFC 8037 appendix A.1.
        r#"{"kty":"OKP","crv":"Ed25519","d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        "AQMBAZ1hsZ3v_VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g",
    ),
    (
        r#"{"kty":"oct","k":"AAECAwQFBgcICQoLDA0ODw"}"#,
        "AQQBAAECAwQFBgcICQoLDA0ODw",
    ),
];

#[test]
#[cfg_attr(miri, ignore = "the backend is C")]
fn version_1_is_written_and_read_as_it_always_was() -> Result<()> {
    for (jwk, written) in WRITTEN {
        let key = Key::from_jwk(&Jwk::parse(jwk.as_bytes())?, Export::Allowed)?;
        let encoded = URL_SAFE_NO_PAD.encode(encode(&key)?.as_slice());
        assert_eq!(&encoded, written);
        let read = decode(
            &URL_SAFE_NO_PAD
                .decode(written)
                .map_err(|_| Error::Backend)?,
        )?;
        assert_eq!(read.export_private_jwk()?, key.export_private_jwk()?);
        assert!(read.exportable());
    }
    Ok(())
}

#[test]
#[cfg_attr(miri, ignore = "the backend is C")]
fn every_family_survives_and_nothing_cut_does() -> Result<()> {
    for (kty, shape) in [
        ("RSA", Shape::Size(2048)),
        ("EC", Shape::Curve("P-256")),
        ("EC", Shape::Curve("P-256K")),
        ("EC", Shape::Curve("P-384")),
        ("EC", Shape::Curve("P-521")),
        ("OKP", Shape::Curve("Ed25519")),
        ("OKP", Shape::Curve("X25519")),
        ("oct", Shape::Size(512)),
        ("AKP", Shape::Algorithm("ML-DSA-44")),
        ("AKP", Shape::Algorithm("ML-DSA-65")),
        ("AKP", Shape::Algorithm("ML-DSA-87")),
        ("AKP", Shape::Algorithm("MLKEM768-X25519+A256KWPAD")),
    ] {
        let key = Key::generate(kty, shape, Export::Refused)?;
        let encoded = encode(&key)?;
        let read = decode(&encoded)?;
        assert_eq!(read.public_jwk()?, key.public_jwk()?);
        assert_eq!(encode(&read)?, encoded);
        assert!(!read.exportable());
        // A symmetric key has any length, so it alone cannot notice.
        if kty != "oct" {
            for len in (0..encoded.len()).step_by(encoded.len() / 40 + 1) {
                let cut = encoded.get(..len).ok_or(Error::Backend)?;
                assert_eq!(decode(cut).err(), Some(Error::Decrypt), "{kty} {len}");
            }
        }
    }
    Ok(())
}

#[test]
fn unknown_versions_families_and_flags_are_refused() {
    let good = [
        VERSION, OCT, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
    ];
    assert!(decode(&good).is_ok());
    for (place, value) in [(0, 0), (0, 2), (1, 0), (1, 7), (1, 255), (2, 2), (2, 255)] {
        let mut wrong = good;
        if let Some(byte) = wrong.get_mut(place) {
            *byte = value;
        }
        assert_eq!(decode(&wrong).err(), Some(Error::Decrypt));
    }
}

#[test]
#[cfg_attr(miri, ignore = "the backend is C")]
fn a_public_key_has_no_private_form() -> Result<()> {
    let key = Key::from_jwk(
        &Jwk::parse(
            br#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#,
        )?,
        Export::Allowed,
    )?;
    assert!(matches!(encode(&key), Err(Error::Usage(_))));
    Ok(())
}
