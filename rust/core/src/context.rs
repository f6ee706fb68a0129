//! The context of an envelope: what it is about, bound to it and not stored in it.
//!
//! One encoding for one context (`docs/envelope.md`, "Context"): fields in the order of the bytes
//! of their names, every length before what it measures, every value with its type. So no
//! context encodes as another, and no encoding is the beginning of another.

use std::borrow::Cow;

use crate::{Error, Result};

/// The most fields that a context may have.
pub const MAX_FIELDS: usize = 256;
/// The longest name of a field, in bytes of UTF-8.
pub const MAX_NAME: usize = 255;
/// The longest encoding of a context, in bytes.
pub const MAX_ENCODED: usize = 65_536;

/// The value of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// True or false.
    Bool(bool),
    /// Bytes.
    Bytes(&'a [u8]),
    /// An integer.
    Int(i64),
    /// No value, which is not the same as no field.
    Null,
    /// Text. Two spellings of one character are two texts: nothing is normalized.
    Text(&'a str),
}

/// A context in its canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Context {
    encoded: Cow<'static, [u8]>,
}

impl Context {
    /// The context of an envelope that was sealed without one.
    pub const EMPTY: Self = Self {
        encoded: Cow::Borrowed(&[0, 0]),
    };

    /// Encodes `fields`, whatever their order.
    pub fn new(fields: &mut [(&str, Value<'_>)]) -> Result<Self> {
        if fields.len() > MAX_FIELDS {
            return Err(Error::Usage(format!(
                "a context has at most {MAX_FIELDS} fields, not {}",
                fields.len()
            )));
        }
        fields.sort_unstable_by(|left, right| left.0.cmp(right.0));
        let count = u16::try_from(fields.len()).map_err(|_| Error::Backend)?;
        let mut encoded = Vec::with_capacity(128);
        encoded.extend_from_slice(&count.to_be_bytes());
        let mut previous: Option<&str> = None;
        for &(name, value) in &*fields {
            if previous == Some(name) {
                return Err(Error::Usage("a context names each field once".to_owned()));
            }
            previous = Some(name);
            append(&mut encoded, name, value)?;
        }
        Ok(Self {
            encoded: Cow::Owned(encoded),
        })
    }

    /// The canonical encoding.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.encoded
    }
}

fn append(encoded: &mut Vec<u8>, name: &str, value: Value<'_>) -> Result<()> {
    let name_size = u8::try_from(name.len())
        .ok()
        .filter(|size| *size > 0)
        .ok_or_else(|| {
            Error::Usage(format!(
                "the name of a context field has 1 to {MAX_NAME} bytes, not {}",
                name.len()
            ))
        })?;
    let number;
    let (kind, content): (u8, &[u8]) = match value {
        Value::Null => (TYPE_NULL, &[]),
        Value::Bool(false) => (TYPE_BOOL, &[0]),
        Value::Bool(true) => (TYPE_BOOL, &[1]),
        Value::Int(value) => {
            number = value.to_be_bytes();
            (TYPE_INT, &number)
        }
        Value::Text(text) => (TYPE_TEXT, text.as_bytes()),
        Value::Bytes(bytes) => (TYPE_BYTES, bytes),
    };
    // The room is checked before the bytes are copied, so that a giant value costs nothing.
    let used = encoded.len() + 1 + name.len() + 1 + 4;
    let size = u32::try_from(content.len())
        .ok()
        .filter(|_| content.len() <= MAX_ENCODED.saturating_sub(used))
        .ok_or_else(|| {
            Error::Usage(format!(
                "a context takes at most {MAX_ENCODED} bytes when encoded"
            ))
        })?;
    encoded.push(name_size);
    encoded.extend_from_slice(name.as_bytes());
    encoded.push(kind);
    encoded.extend_from_slice(&size.to_be_bytes());
    encoded.extend_from_slice(content);
    Ok(())
}

const TYPE_NULL: u8 = 0;
const TYPE_BOOL: u8 = 1;
const TYPE_INT: u8 = 2;
const TYPE_TEXT: u8 = 3;
const TYPE_BYTES: u8 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_context_is_the_one_without_fields() {
        assert_eq!(Context::new(&mut []), Ok(Context::EMPTY));
    }

    #[test]
    fn order_does_not_matter() {
        let one = Context::new(&mut [("b", Value::Int(1)), ("a", Value::Null)]);
        let other = Context::new(&mut [("a", Value::Null), ("b", Value::Int(1))]);
        assert_eq!(one, other);
    }

    #[test]
    fn every_byte_is_where_the_document_says() -> Result<()> {
        let context = Context::new(&mut [
            ("t", Value::Text("\u{e9}")),
            ("n", Value::Null),
            ("i", Value::Int(-2)),
            ("b", Value::Bytes(&[9])),
            ("f", Value::Bool(true)),
        ])?;
        let expected: &[u8] = &[
            0, 5, // fields
            1, b'b', 4, 0, 0, 0, 1, 9, //
            1, b'f', 1, 0, 0, 0, 1, 1, //
            1, b'i', 2, 0, 0, 0, 8, 255, 255, 255, 255, 255, 255, 255, 254, //
            1, b'n', 0, 0, 0, 0, 0, //
            1, b't', 3, 0, 0, 0, 2, 0xc3, 0xa9,
        ];
        assert_eq!(context.as_bytes(), expected);
        Ok(())
    }

    #[test]
    fn types_are_told_apart() -> Result<()> {
        let values = [
            Value::Null,
            Value::Bool(false),
            Value::Bool(true),
            Value::Int(0),
            Value::Int(1),
            Value::Text(""),
            Value::Text("1"),
            Value::Bytes(b""),
            Value::Bytes(b"1"),
        ];
        for (index, left) in values.iter().enumerate() {
            for right in values.iter().skip(index + 1) {
                let left = Context::new(&mut [("x", *left)])?;
                assert_ne!(left, Context::new(&mut [("x", *right)])?);
            }
        }
        Ok(())
    }

    #[test]
    fn limits_hold_at_the_byte() {
        let long = "n".repeat(MAX_NAME);
        assert!(Context::new(&mut [(&long, Value::Null)]).is_ok());
        let longer = "n".repeat(MAX_NAME + 1);
        assert!(Context::new(&mut [(&longer, Value::Null)]).is_err());
        assert!(Context::new(&mut [("", Value::Null)]).is_err());
        let room = MAX_ENCODED - 2 - 1 - 1 - 1 - 4;
        let value = vec![0; room + 1];
        assert_eq!(
            Context::new(&mut [("x", Value::Bytes(value.get(..room).unwrap_or(&[])))])
                .map(|context| context.as_bytes().len()),
            Ok(MAX_ENCODED)
        );
        assert!(Context::new(&mut [("x", Value::Bytes(&value))]).is_err());
        let names: Vec<String> = (0..=MAX_FIELDS).map(|number| number.to_string()).collect();
        let mut fields: Vec<_> = names
            .iter()
            .map(|name| (name.as_str(), Value::Null))
            .collect();
        assert!(Context::new(&mut fields).is_err());
        fields.pop();
        assert!(Context::new(&mut fields).is_ok());
        assert!(Context::new(&mut [("x", Value::Null), ("x", Value::Null)]).is_err());
    }
}
