//! What the fuzzer calls, one function for each parser.
//!
//! Each states what must hold for any input at all. The fuzzer in `fuzz/` drives them with coverage,
//! the test beside this file with mutations of the seeds.

#![allow(
    dead_code,
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    reason = "each target of the fuzzer uses one of these; a broken promise stops it here"
)]

use vaultcore_core::context::{Context, Value};
use vaultcore_core::envelope::{inspect, Content, KekId, Suite};
use vaultcore_core::json::{self, Limits};
use vaultcore_core::kek::KeyEncryptionKey;
use vaultcore_core::key::{Export, Jwk, Key};
use vaultcore_core::operation;
use vaultcore_core::secret::SecretKey;
use vaultcore_core::stream::{Opener, Sealer, SEGMENT_SIZE};

/// One target: its name, which is that of its seeds, and its function.
pub(crate) type Target = (&'static str, fn(&[u8]));

/// The limits of the service.
const LIMITS: Limits = Limits {
    depth: 16,
    members: 1000,
};

/// Every target.
pub(crate) const ALL: [Target; 8] = [
    ("context", context),
    ("der", der),
    ("envelope", envelope),
    ("json", json),
    ("jwk", jwk),
    ("operation", operation),
    ("pem", pem),
    ("stream", stream),
];

/// The key that the seeds are sealed under.
pub(crate) fn kek(suite: Suite) -> KeyEncryptionKey {
    let key = SecretKey::from_slice(&[0x42; 32]).unwrap();
    KeyEncryptionKey::from_key(Some(KekId::parse(&"17".repeat(16)).unwrap()), suite, key).unwrap()
}

/// An envelope opens to what its header says, and rewrapping does not change what it opens to.
pub(crate) fn envelope(data: &[u8]) {
    let info = inspect(data);
    for suite in [Suite::GcmSiv, Suite::AesKw] {
        let kek = kek(suite);
        let _ = KeyEncryptionKey::unwrap_under(&kek, data);
        let Ok(opened) = kek.open(Content::Message, data, &Context::EMPTY) else {
            continue;
        };
        let info = info.as_ref().unwrap();
        assert_eq!(info.payload_size, Some(opened.expose().len() as u64));
        assert_eq!((info.suite, info.kek_id), (suite, kek.id()));
        kek.rotate().unwrap();
        let mut rewrapped = vec![0; data.len()];
        kek.rewrap_into(data, &mut rewrapped).unwrap();
        let again = kek
            .open(Content::Message, &rewrapped, &Context::EMPTY)
            .unwrap();
        assert_eq!(again.expose(), opened.expose());
    }
}

/// A stream opens alike in one piece and in pieces. The first byte is the size of a piece.
pub(crate) fn stream(data: &[u8]) {
    let Some((&size, sealed)) = data.split_first() else {
        return;
    };
    let kek = kek(Suite::GcmSiv);
    let whole = open_stream(&kek, sealed, sealed.len().max(1));
    let pieces = open_stream(&kek, sealed, usize::from(size) + 1);
    assert_eq!(whole, pieces);
}

fn open_stream(kek: &KeyEncryptionKey, sealed: &[u8], size: usize) -> Option<Vec<u8>> {
    let mut opener = Opener::new();
    let mut plaintext = Vec::new();
    for piece in sealed.chunks(size) {
        let rest = opener.read_head(kek, &Context::EMPTY, piece).ok()?;
        let mut out = vec![0; opener.update_size(rest.len())];
        opener.update(rest, &mut out).ok()?;
        plaintext.append(&mut out);
    }
    let mut out = vec![0; opener.finish_size()];
    opener.finish(&mut out).ok()?;
    plaintext.append(&mut out);
    Some(plaintext)
}

/// Seals a stream, for the seeds.
pub(crate) fn seal_stream(plaintext: &[u8]) -> Vec<u8> {
    let mut sealer = Sealer::new(&kek(Suite::GcmSiv), &Context::EMPTY).unwrap();
    let mut all = Vec::new();
    for piece in plaintext.chunks(SEGMENT_SIZE) {
        let mut out = vec![0; sealer.update_size(piece.len())];
        sealer.update(piece, &mut out).unwrap();
        all.append(&mut out);
    }
    let mut out = vec![0; sealer.finish_size()];
    sealer.finish(&mut out).unwrap();
    all.append(&mut out);
    all
}

/// A JWK that is read is written so that it reads the same.
pub(crate) fn jwk(data: &[u8]) {
    let read = Jwk::parse(data).and_then(|jwk| Key::from_jwk(&jwk, Export::Allowed));
    if let Ok(key) = read {
        stays_the_same(&key);
    }
}

/// A key in DER that is read is written so that it reads the same.
pub(crate) fn der(data: &[u8]) {
    if let Ok(key) = Key::from_der(data, Export::Allowed) {
        stays_the_same(&key);
    }
}

/// A key in PEM that is read is written so that it reads the same.
pub(crate) fn pem(data: &[u8]) {
    if let Ok(key) = Key::from_pem(data, Export::Allowed) {
        stays_the_same(&key);
    }
}

fn stays_the_same(key: &Key) {
    assert!(!format!("{:?}", key.kty()).is_empty());
    if key.is_private() {
        let sealed = key.encode_private().unwrap();
        let opened = Key::decode_private(&sealed).unwrap();
        assert_eq!(opened.public_jwk(), key.public_jwk());
        assert_eq!(opened.encode_private().unwrap(), sealed);
    }
    if let Ok(text) = key.public_pem() {
        let read = Key::from_pem(text.as_bytes(), Export::Refused).unwrap();
        assert_eq!(read.public_jwk(), key.public_jwk());
        assert_eq!(read.thumbprint(), key.thumbprint());
    }
}

/// A request that is parsed names an operation. Method, path and query are lines of the input.
pub(crate) fn operation(data: &[u8]) {
    let mut lines = data.splitn(3, |&byte| byte == b'\n');
    let method = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let path = lines.next().unwrap_or_default();
    let query = lines.next().unwrap_or_default();
    match operation::parse(&method, path, query) {
        Ok(parsed) => {
            assert!((1..=25).contains(&parsed.max_results));
            assert!(parsed.version.len() == 32 || parsed.version.is_empty());
        }
        Err(refusal) => assert!((400..=599).contains(&refusal.status)),
    }
}

/// A body that passes is read by another parser as well, as an object.
pub(crate) fn json(data: &[u8]) {
    match json::check(data, LIMITS) {
        Ok(()) => {
            let read: serde_json::Value = serde_json::from_slice(data).unwrap();
            assert!(read.is_object());
        }
        Err(fault) => assert!(fault.position <= data.len()),
    }
}

/// A context can be read back from its encoding, so two different ones never encode alike.
pub(crate) fn context(data: &[u8]) {
    let mut fields = fields(data);
    let Ok(context) = Context::new(&mut fields) else {
        return;
    };
    let mut rest = context.as_bytes();
    assert_eq!(usize::try_from(take(&mut rest, 2)).unwrap(), fields.len());
    for (name, value) in &fields {
        let size = usize::try_from(take(&mut rest, 1)).unwrap();
        assert_eq!(bytes(&mut rest, size), name.as_bytes());
        let kind = take(&mut rest, 1);
        let size = usize::try_from(take(&mut rest, 4)).unwrap();
        let encoded = bytes(&mut rest, size);
        match value {
            Value::Null => assert_eq!((kind, encoded), (0, &[][..])),
            Value::Bool(value) => assert_eq!((kind, encoded), (1, &[u8::from(*value)][..])),
            Value::Int(value) => assert_eq!((kind, encoded), (2, &value.to_be_bytes()[..])),
            Value::Text(value) => assert_eq!((kind, encoded), (3, value.as_bytes())),
            Value::Bytes(value) => assert_eq!((kind, encoded), (4, *value)),
        }
    }
    assert!(rest.is_empty());
}

/// Makes fields of any input: a byte for the sizes and the type, then name and value.
fn fields(mut data: &[u8]) -> Vec<(&str, Value<'_>)> {
    let mut fields = Vec::new();
    while let Some((&first, rest)) = data.split_first() {
        let (name, rest) = rest.split_at(rest.len().min(usize::from(first >> 5)));
        let (value, rest) = rest.split_at(rest.len().min(usize::from(first & 31)));
        let Ok(name) = std::str::from_utf8(name) else {
            return fields;
        };
        let value = match (value, std::str::from_utf8(value)) {
            ([], _) => Value::Null,
            ([one], _) => Value::Bool(*one > 127),
            (eight, _) if eight.len() == 8 => {
                Value::Int(i64::from_be_bytes(eight.try_into().unwrap()))
            }
            (_, Ok(text)) => Value::Text(text),
            (other, Err(_)) => Value::Bytes(other),
        };
        fields.push((name, value));
        data = rest;
    }
    fields
}

fn take(rest: &mut &[u8], size: usize) -> u64 {
    bytes(rest, size)
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn bytes<'a>(rest: &mut &'a [u8], size: usize) -> &'a [u8] {
    let (first, after) = rest.split_at_checked(size).unwrap();
    *rest = after;
    first
}
