//! PEM (RFC 7468), as found in practice: several blocks, CRLF, text around them.

use base64::engine::general_purpose::STANDARD;
use base64::Engine as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::{der, Material};
use crate::{Error, Result};

/// A block, with its number in the text, from 1.
struct Block {
    number: usize,
    label: String,
    der: Zeroizing<Vec<u8>>,
}

/// Reads the one key of a PEM text. A private key may be accompanied by its own public key.
pub(super) fn read(text: &[u8]) -> Result<Material> {
    let mut private: Option<Material> = None;
    let mut public: Option<Material> = None;
    for block in blocks(text)? {
        let place = match block.label.as_str() {
            "PRIVATE KEY" | "RSA PRIVATE KEY" | "EC PRIVATE KEY" => &mut private,
            "PUBLIC KEY" | "RSA PUBLIC KEY" => &mut public,
            "ENCRYPTED PRIVATE KEY" => {
                return Err(block.error("the private key is encrypted; decrypt it first"))
            }
            // Blocks that come with keys in the files of certificate tools.
            _ => continue,
        };
        let key = der::read(&block.der).map_err(|error| block.error(&error.to_string()))?;
        if place.replace(key).is_some() {
            return Err(block.error("there is more than one key of this kind"));
        }
    }
    match (private, public) {
        (Some(private), Some(public)) => {
            if der::write_public(&private)? == der::write_public(&public)? {
                Ok(private)
            } else {
                Err(Error::KeyFormat(
                    "the private key and the public key in the PEM text do not match".to_owned(),
                ))
            }
        }
        (Some(key), None) | (None, Some(key)) => Ok(key),
        (None, None) => Err(Error::KeyFormat(
            "there is no key in the PEM text".to_owned(),
        )),
    }
}

/// Writes one block, with lines of 64 characters.
pub(super) fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let encoded = Zeroizing::new(STANDARD.encode(der));
    // Reserved in full, so that no copy stays in a buffer that was outgrown.
    let mut text = Zeroizing::new(String::with_capacity(encoded.len() * 66 / 64 + 128));
    text.push_str("-----BEGIN ");
    text.push_str(label);
    text.push_str("-----\n");
    for (place, character) in encoded.chars().enumerate() {
        if place > 0 && place % LINE == 0 {
            text.push('\n');
        }
        text.push(character);
    }
    text.push_str("\n-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

fn blocks(text: &[u8]) -> Result<Vec<Block>> {
    let text = std::str::from_utf8(text)
        .map_err(|_| Error::KeyFormat("the PEM text is not UTF-8".to_owned()))?;
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim_ascii);
    while let Some(line) = lines.next() {
        let Some(label) = boundary(line, "BEGIN") else {
            continue;
        };
        let number = blocks.len() + 1;
        let fail = |reason: &str| Error::KeyFormat(format!("PEM block {number}: {reason}"));
        if number > MOST_BLOCKS {
            return Err(fail("there are too many blocks"));
        }
        let mut body = Zeroizing::new(String::with_capacity(text.len()));
        loop {
            let line = lines.next().ok_or_else(|| fail("the block has no end"))?;
            if let Some(end) = boundary(line, "END") {
                if end != label {
                    return Err(fail(
                        "the block ends with another label than it begins with",
                    ));
                }
                break;
            }
            if line.contains(':') {
                // RFC 1421 headers: only the old encrypted form has them.
                return Err(fail("the private key is encrypted; decrypt it first"));
            }
            body.push_str(line);
        }
        let mut der = Zeroizing::new(Vec::new());
        STANDARD
            .decode_vec(body.as_bytes(), &mut der)
            .map_err(|_| {
                der.zeroize();
                fail("the block is not base64")
            })?;
        blocks.push(Block {
            number,
            label: label.to_owned(),
            der,
        });
    }
    Ok(blocks)
}

fn boundary<'text>(line: &'text str, word: &str) -> Option<&'text str> {
    line.strip_prefix("-----")?
        .strip_suffix("-----")?
        .strip_prefix(word)?
        .strip_prefix(' ')
}

impl Block {
    fn error(&self, reason: &str) -> Error {
        Error::KeyFormat(format!("PEM block {}: {reason}", self.number))
    }
}

const LINE: usize = 64;
/// A chain of certificates is shorter; more is an attack on the parser.
const MOST_BLOCKS: usize = 100;
