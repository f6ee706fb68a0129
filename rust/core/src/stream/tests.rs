use super::*;
use crate::context::{Context, Value};
use crate::envelope::{inspect, Suite};
use crate::kek::KeyEncryptionKey;
use crate::{Error, Result};

fn context() -> Result<Context> {
    Context::new(&mut [("file", Value::Text("a"))])
}

fn seal(kek: &KeyEncryptionKey, plaintext: &[u8], piece: usize) -> Result<Vec<u8>> {
    let mut sealer = Sealer::new(kek, &context()?)?;
    let mut blob = Vec::new();
    for piece in plaintext.chunks(piece) {
        let mut out = vec![0; sealer.update_size(piece.len())];
        sealer.update(piece, &mut out)?;
        blob.extend(out);
    }
    let mut out = vec![0; sealer.finish_size()];
    sealer.finish(&mut out)?;
    blob.extend(out);
    assert!(matches!(sealer.finish(&mut []), Err(Error::Usage(_))));
    Ok(blob)
}

fn open(kek: &KeyEncryptionKey, sealed: &[u8], piece: usize) -> Result<Vec<u8>> {
    let context = context()?;
    let mut opener = Opener::new();
    let mut plaintext = Vec::new();
    for piece in sealed.chunks(piece) {
        let piece = opener.read_head(kek, &context, piece)?;
        let mut out = vec![0; opener.update_size(piece.len())];
        opener.update(piece, &mut out)?;
        plaintext.extend(out);
    }
    let mut out = vec![0; opener.finish_size()];
    opener.finish(&mut out)?;
    plaintext.extend(out);
    Ok(plaintext)
}

fn some_bytes(size: usize) -> Vec<u8> {
    (0..=250).cycle().take(size).collect()
}

#[test]
fn what_is_sealed_opens_however_it_is_cut() -> Result<()> {
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let sizes = [
        0,
        1,
        SEGMENT_SIZE - 1,
        SEGMENT_SIZE,
        SEGMENT_SIZE + 1,
        3 * SEGMENT_SIZE,
    ];
    for size in sizes {
        let plaintext = some_bytes(size);
        for piece in [7_777, SEGMENT_SIZE, SEGMENT_SIZE + 16, 1 << 20] {
            let sealed = seal(&kek, &plaintext, piece)?;
            assert_eq!(inspect(&sealed)?.payload_size, Some(size as u64));
            for piece in [1 << 10, SEGMENT_SIZE, SEALED_SIZE, 1 << 20] {
                assert!(open(&kek, &sealed, piece)? == plaintext);
            }
        }
    }
    let kek = KeyEncryptionKey::generate(Suite::AesKw)?;
    let sealed = seal(&kek, b"short", 1)?;
    assert_eq!(open(&kek, &sealed, 1)?, b"short");
    Ok(())
}

#[test]
fn segments_stay_where_they_are() -> Result<()> {
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let head = Suite::GcmSiv.head_size();
    let sealed = seal(&kek, &some_bytes(2 * SEGMENT_SIZE + 5), 1 << 20)?;
    let (start, body) = sealed.split_at_checked(head).unwrap_or_default();
    let parts: Vec<&[u8]> = body.chunks(SEALED_SIZE).collect();
    let [first, second, last] = parts.as_slice() else {
        return Err(Error::Backend);
    };
    let wrong: [&[&[u8]]; 8] = [
        &[second, first, last],
        &[first, first, last],
        &[first, last],
        &[first, second],
        &[first],
        &[],
        &[first, second, last, last],
        &[first, second, second, last],
    ];
    for body in wrong {
        let changed: Vec<u8> = [start]
            .iter()
            .chain(body)
            .flat_map(|part| part.to_vec())
            .collect();
        assert_eq!(open(&kek, &changed, 1 << 20), Err(Error::Decrypt));
    }
    assert!(open(&kek, &sealed, 1 << 20).is_ok());
    Ok(())
}

#[test]
fn every_cut_and_every_changed_byte_of_a_short_stream_is_refused() -> Result<()> {
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    for plaintext in [b"".as_slice(), b"some bytes"] {
        let sealed = seal(&kek, plaintext, 4)?;
        for index in 0..sealed.len() {
            let cut = sealed.get(..index).unwrap_or_default();
            assert_eq!(open(&kek, cut, 1 << 20), Err(Error::Decrypt));
            let mut changed = sealed.clone();
            if let Some(byte) = changed.get_mut(index) {
                *byte ^= 0x10;
            }
            assert_eq!(open(&kek, &changed, 1 << 20), Err(Error::Decrypt));
        }
    }
    Ok(())
}

#[test]
fn a_refused_stream_stays_refused() -> Result<()> {
    let kek = KeyEncryptionKey::generate(Suite::GcmSiv)?;
    let sealed = seal(&kek, b"some bytes", 4)?;
    let mut opener = Opener::new();
    let (other, right) = (Context::EMPTY, context()?);
    assert_eq!(
        opener.read_head(&kek, &other, &sealed).err(),
        Some(Error::Decrypt)
    );
    opener.read_head(&kek, &right, &sealed)?;
    assert_eq!(opener.update(&sealed, &mut []), Err(Error::Decrypt));
    assert_eq!(opener.finish(&mut []), Err(Error::Decrypt));
    Ok(())
}

#[test]
fn no_stream_has_a_body_of_an_impossible_size() {
    assert_eq!(payload_size(0), None);
    assert_eq!(payload_size(15), None);
    assert_eq!(payload_size(16), Some(0));
    assert_eq!(payload_size(SEALED_SIZE), Some(SEGMENT_SIZE as u64));
    assert_eq!(payload_size(SEALED_SIZE + 16), None);
    assert_eq!(
        payload_size(SEALED_SIZE + 17),
        Some(SEGMENT_SIZE as u64 + 1)
    );
}
