//! The published vectors, byte by byte: `tests/vectors/envelope.json`.

use aws_lc_rs::digest;
use serde_json::Value as Json;

use super::*;
use crate::context::{Context, Value};
use crate::kek::{KeyEncryptionKey, SealJob};
use crate::stream::Sealer;

const VECTORS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../tests/vectors/envelope.json"
));

#[test]
fn every_vector_is_made_byte_by_byte() -> Result<()> {
    let file: Json = serde_json::from_str(VECTORS).map_err(|_| Error::Backend)?;
    let vectors = file["vectors"].as_array().ok_or(Error::Backend)?;
    assert!(vectors.len() >= 40);
    for vector in vectors {
        let context = context(&vector["context"])?;
        assert_eq!(context.as_bytes(), hex(&vector["encoded_context"]));
        let content = Content::from_number(number(&vector["content"])).ok_or(Error::Backend)?;
        let plaintext = match vector["plaintext_of_0x61"].as_u64() {
            Some(size) => vec![b'a'; usize::try_from(size).map_err(|_| Error::Backend)?],
            None => hex(&vector["plaintext"]),
        };
        let made = seal(
            &kek(vector)?,
            content,
            &plaintext,
            &context,
            &randomness(vector),
        )?;
        if vector["envelope"].is_null() {
            let digest = digest::digest(&digest::SHA256, &made);
            assert_eq!(digest.as_ref(), hex(&vector["envelope_sha256"]));
        } else {
            assert_eq!(made, hex(&vector["envelope"]));
        }
    }
    Ok(())
}

fn seal(
    kek: &KeyEncryptionKey,
    content: Content,
    plaintext: &[u8],
    context: &Context,
    random: &[u8],
) -> Result<Vec<u8>> {
    if content == Content::Stream {
        let mut sealer = Sealer::with_randomness(kek, context, random)?;
        let mut made = vec![0; sealer.update_size(plaintext.len())];
        sealer.update(plaintext, &mut made)?;
        let mut end = vec![0; sealer.finish_size()];
        sealer.finish(&mut end)?;
        made.extend(end);
        return Ok(made);
    }
    let mut made = vec![0; kek.sealed_size(plaintext.len())?];
    kek.seal_with_randomness(
        content,
        SealJob {
            plaintext,
            context,
            out: &mut made,
        },
        random,
    )?;
    if content == Content::Key {
        assert_eq!(kek.open(content, &made, context)?.expose(), plaintext);
    }
    Ok(made)
}

/// The key of a vector, up to the generation that it was sealed under.
fn kek(vector: &Json) -> Result<KeyEncryptionKey> {
    let id = vector["kek"]["id"].as_str().ok_or(Error::Backend)?;
    let suite = Suite::from_number(number(&vector["suite"]))?;
    let newest = vector["generation"].as_u64().ok_or(Error::Backend)?;
    let mut keys = Vec::new();
    for (name, key) in vector["kek"]["generations"]
        .as_object()
        .ok_or(Error::Backend)?
    {
        let generation: u32 = name.parse().map_err(|_| Error::Backend)?;
        if u64::from(generation) <= newest {
            keys.push((generation, hex(key)));
        }
    }
    keys.sort_by_key(|(generation, _)| *generation);
    KeyEncryptionKey::of(KekId::parse(id)?, suite, &keys)
}

fn randomness(vector: &Json) -> Vec<u8> {
    let mut random = hex(&vector["data_key"]);
    random.extend(hex(&vector["payload_nonce"]));
    random.extend(hex(&vector["wrap_nonce"]));
    // AES-KW has no nonce.
    random.resize(RANDOM_SIZE, 0);
    random
}

fn context(fields: &Json) -> Result<Context> {
    let fields = fields.as_object().ok_or(Error::Backend)?;
    let bytes: Vec<Vec<u8>> = fields.values().map(|value| hex(&value["bytes"])).collect();
    let mut encoded: Vec<(&str, Value<'_>)> = fields
        .iter()
        .zip(&bytes)
        .map(|((name, value), bytes)| {
            let value = if let Some(text) = value["text"].as_str() {
                Value::Text(text)
            } else if let Some(number) = value["int"].as_i64() {
                Value::Int(number)
            } else if let Some(bool) = value["bool"].as_bool() {
                Value::Bool(bool)
            } else if value["bytes"].is_string() {
                Value::Bytes(bytes)
            } else {
                Value::Null
            };
            (name.as_str(), value)
        })
        .collect();
    Context::new(&mut encoded)
}

fn number(value: &Json) -> u8 {
    value
        .as_u64()
        .and_then(|value| value.try_into().ok())
        .unwrap_or(u8::MAX)
}

fn hex(value: &Json) -> Vec<u8> {
    let digits = value.as_str().unwrap_or_default().as_bytes();
    let value = |digit: &u8| {
        char::from(*digit)
            .to_digit(16)
            .and_then(|value| value.try_into().ok())
    };
    let pairs = digits.chunks(2).map(|pair| {
        pair.iter()
            .filter_map(value)
            .fold(0, |byte: u8, value: u8| (byte << 4) | value)
    });
    pairs.collect()
}
