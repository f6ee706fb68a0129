//! The published vectors, byte by byte: `tests/vectors/envelope.json`.

use std::collections::BTreeMap;

use aws_lc_rs::digest;
use serde::Deserialize;

use super::*;
use crate::context::{Context, Value};
use crate::kek::{KeyEncryptionKey, SealJob};
use crate::stream::Sealer;

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/vectors/envelope.json"
));

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    suite: u8,
    content: u8,
    kek: Kek,
    generation: u32,
    data_key: String,
    payload_nonce: String,
    wrap_nonce: Option<String>,
    context: BTreeMap<String, Field>,
    encoded_context: String,
    plaintext: Option<String>,
    envelope: Option<String>,
    plaintext_of_0x61: Option<usize>,
    envelope_sha256: Option<String>,
}

#[derive(Deserialize)]
struct Kek {
    id: String,
    generations: BTreeMap<u32, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Field {
    Bool(bool),
    Bytes(String),
    Int(i64),
    Null(()),
    Text(String),
}

#[test]
fn every_vector_is_made_byte_by_byte() -> Result<()> {
    let file: File = serde_json::from_str(VECTORS).map_err(|_| Error::Backend)?;
    assert!(file.vectors.len() >= 40);
    for vector in &file.vectors {
        let context = context(&vector.context)?;
        assert_eq!(context.as_bytes(), hex(&vector.encoded_context));
        let kind = Content::from_number(vector.content).ok_or(Error::Backend)?;
        let plaintext = match (&vector.plaintext, vector.plaintext_of_0x61) {
            (Some(plaintext), _) => hex(plaintext),
            (None, size) => vec![b'a'; size.ok_or(Error::Backend)?],
        };
        let made = seal(
            &kek(vector)?,
            kind,
            &plaintext,
            &context,
            &randomness(vector),
        )?;
        let digest = digest::digest(&digest::SHA256, &made);
        match (&vector.envelope, &vector.envelope_sha256) {
            (Some(envelope), _) => assert_eq!(made, hex(envelope)),
            (None, Some(expected)) => assert_eq!(digest.as_ref(), hex(expected)),
            (None, None) => return Err(Error::Backend),
        }
    }
    Ok(())
}

fn seal(
    kek: &KeyEncryptionKey,
    kind: Content,
    plaintext: &[u8],
    context: &Context,
    random: &[u8],
) -> Result<Vec<u8>> {
    if kind == Content::Stream {
        let mut sealer = Sealer::with_randomness(kek, context, random)?;
        let mut made = vec![0; sealer.update_size(plaintext.len())];
        sealer.update(plaintext, &mut made)?;
        let mut end = vec![0; sealer.finish_size()];
        sealer.finish(&mut end)?;
        made.extend(end);
        return Ok(made);
    }
    let mut made = vec![0; kek.sealed_size(plaintext.len())?];
    let job = SealJob {
        plaintext,
        context,
        out: &mut made,
    };
    kek.seal_with_randomness(kind, job, random)?;
    assert_eq!(kek.open(kind, &made, context)?.expose(), plaintext);
    Ok(made)
}

/// The key of a vector, up to the generation that it was sealed under.
fn kek(vector: &Vector) -> Result<KeyEncryptionKey> {
    let keys: Vec<(u32, Vec<u8>)> = vector
        .kek
        .generations
        .range(..=vector.generation)
        .map(|(number, key)| (*number, hex(key)))
        .collect();
    let suite = Suite::from_number(vector.suite)?;
    KeyEncryptionKey::of(KekId::parse(&vector.kek.id)?, suite, &keys)
}

fn randomness(vector: &Vector) -> Vec<u8> {
    let mut random = hex(&vector.data_key);
    random.extend(hex(&vector.payload_nonce));
    random.extend(vector.wrap_nonce.as_deref().map(hex).unwrap_or_default());
    // AES-KW has no nonce.
    random.resize(RANDOM_SIZE, 0);
    random
}

fn context(fields: &BTreeMap<String, Field>) -> Result<Context> {
    let bytes: Vec<Vec<u8>> = fields
        .values()
        .map(|field| match field {
            Field::Bytes(digits) => hex(digits),
            _ => Vec::new(),
        })
        .collect();
    let mut encoded: Vec<(&str, Value<'_>)> = fields
        .iter()
        .zip(&bytes)
        .map(|((name, field), bytes)| {
            let value = match field {
                Field::Bool(value) => Value::Bool(*value),
                Field::Bytes(_) => Value::Bytes(bytes),
                Field::Int(value) => Value::Int(*value),
                Field::Null(()) => Value::Null,
                Field::Text(value) => Value::Text(value),
            };
            (name.as_str(), value)
        })
        .collect();
    Context::new(&mut encoded)
}

fn hex(digits: &str) -> Vec<u8> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => digit - b'0',
        _ => digit.wrapping_sub(b'a').wrapping_add(10),
    };
    let pairs = digits.as_bytes().chunks_exact(2);
    pairs
        .map(|pair| {
            pair.iter()
                .fold(0, |byte: u8, digit| (byte << 4) | nibble(*digit))
        })
        .collect()
}
