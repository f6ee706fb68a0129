//! Envelopes under another generation, another key or another context.

use aws_lc_rs::rand;
use zeroize::Zeroizing;

use super::KeyEncryptionKey;
use crate::context::Context;
use crate::envelope::{Content, Header, Parts, GENERATION_SIZE, NONCE_SIZE, STABLE_SIZE};
use crate::secret::KEY_SIZE;
use crate::{Error, Result};

impl KeyEncryptionKey {
    /// Writes `blob`, wrapped under the newest generation, into `out` of the same size.
    ///
    /// Only generation and wrapped data key change. The context is not needed and the payload not
    /// read: any fault in it remains, and is found when it is opened.
    pub fn rewrap_into(&self, blob: &[u8], out: &mut [u8]) -> Result<()> {
        let parts = Parts::parse(blob).ok_or(Error::Decrypt)?;
        let generations = self.snapshot();
        let mut data_key = Zeroizing::new([0; KEY_SIZE]);
        self.unwrap(&generations, &parts, &mut data_key)?;
        if out.len() != blob.len() {
            return Err(Error::Backend);
        }
        out.copy_from_slice(blob);
        let newest = generations.last().ok_or(Error::Backend)?;
        if parts.header.generation == newest.number() {
            return Ok(());
        }
        let mut nonce = [0; NONCE_SIZE];
        rand::fill(&mut nonce).map_err(|_| Error::Backend)?;
        let header = Header {
            generation: newest.number(),
            ..parts.header
        };
        let (_, rest) = out
            .split_first_chunk_mut::<STABLE_SIZE>()
            .ok_or(Error::Backend)?;
        let (place, rest) = rest
            .split_first_chunk_mut::<GENERATION_SIZE>()
            .ok_or(Error::Backend)?;
        *place = header.generation.to_be_bytes();
        let wrapped = rest
            .get_mut(..self.suite.wrap_size())
            .ok_or(Error::Backend)?;
        newest.wrap(&header.bytes(), &nonce, &data_key, wrapped)
    }

    /// Opens an envelope and seals its content again, under `target` and another context.
    ///
    /// The payload gets a new data key; its plaintext is wiped before this returns.
    pub fn reseal(
        &self,
        blob: &[u8],
        context: &Context,
        target: &Self,
        new_context: &Context,
    ) -> Result<Vec<u8>> {
        let kind = Parts::parse(blob).ok_or(Error::Decrypt)?.header.content;
        if kind == Content::Stream {
            return Err(Error::Usage(
                "a stream is resealed by opening it and sealing it again".to_owned(),
            ));
        }
        let plaintext = self.open(kind, blob, context)?;
        target.seal(kind, plaintext.expose(), new_context)
    }
}
