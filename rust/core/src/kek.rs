//! Key-encryption keys: what envelopes are sealed under.
//!
//! A key-encryption key has generations. New envelopes are sealed under the newest; old ones open
//! under theirs as long as it is kept, and are rewrapped under the newest without access to their
//! payload.

mod bundle;
mod derived;
mod generation;
mod rewrap;

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::{digest, rand};
use zeroize::Zeroizing;

use crate::context::Context;
use crate::envelope::{
    self, Content, Header, KekId, Parts, Randomness, Suite, HEADER_SIZE, KEK_ID_SIZE, RANDOM_SIZE,
    TAG_SIZE,
};
use crate::secret::{SecretBytes, SecretKey, KEY_SIZE};
use crate::{Error, Result};
pub use derived::KeyVersion;
use generation::Generation;

/// A key-encryption key. Threads can share it, and rotating it does not disturb them.
pub struct KeyEncryptionKey {
    id: KekId,
    suite: Suite,
    origin: Origin,
    // INVARIANT: never empty; numbers ascend, and no two generations have the same key.
    generations: RwLock<Arc<[Arc<Generation>]>>,
}

/// Where the generations come from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// They are this key's own.
    Own,
    /// They follow the versions of a key in a vault, which is rotated and backed up instead.
    Versions,
}

/// One message to seal, and where its envelope goes.
pub struct SealJob<'a> {
    /// What to seal.
    pub plaintext: &'a [u8],
    /// Its context.
    pub context: &'a Context,
    /// Where the envelope goes: exactly `plaintext.len() + overhead` bytes.
    pub out: &'a mut [u8],
}

/// One envelope to open, and where its message goes.
pub struct OpenJob<'a> {
    /// The envelope.
    pub blob: &'a [u8],
    /// Its context.
    pub context: &'a Context,
    /// Where the message goes: exactly [`KeyEncryptionKey::opened_size`] bytes.
    pub out: &'a mut [u8],
}

impl KeyEncryptionKey {
    /// Creates a new key with a random id.
    pub fn generate(suite: Suite) -> Result<Self> {
        let mut id = [0; KEK_ID_SIZE];
        rand::fill(&mut id).map_err(|_| Error::Backend)?;
        Self::from_key(Some(KekId(id)), suite, SecretKey::generate()?)
    }

    /// Creates a key-encryption key from given key bytes, as its generation 1.
    ///
    /// Without an id, the id is a digest of suite and key, so that the same bytes get the same id.
    pub fn from_key(id: Option<KekId>, suite: Suite, key: SecretKey) -> Result<Self> {
        let id = id.unwrap_or_else(|| derive_id(suite, &key));
        let generations = vec![Generation::new(1, suite, key)?];
        Self::from_generations(id, suite, Origin::Own, generations)
    }

    fn from_generations(
        id: KekId,
        suite: Suite,
        origin: Origin,
        generations: Vec<Generation>,
    ) -> Result<Self> {
        let generations: Arc<[_]> = generations.into_iter().map(Arc::new).collect();
        let ascending = generations
            .iter()
            .zip(generations.iter().skip(1))
            .all(|(a, b)| a.number() < b.number());
        if generations.is_empty() || !ascending {
            return Err(Error::Decrypt);
        }
        Ok(Self {
            id,
            suite,
            origin,
            generations: RwLock::new(generations),
        })
    }

    /// The id, which every envelope names.
    pub fn id(&self) -> KekId {
        self.id
    }

    /// How it wraps data keys.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The generation under which new envelopes are sealed.
    pub fn generation(&self) -> u32 {
        self.snapshot().last().map_or(0, |newest| newest.number())
    }

    /// All generations, ascending.
    pub fn generations(&self) -> Vec<u32> {
        self.snapshot()
            .iter()
            .map(|generation| generation.number())
            .collect()
    }

    /// Adds a generation and returns its number.
    pub fn rotate(&self) -> Result<u32> {
        self.check_own("rotate the key in its vault, and get its key-encryption key again")?;
        let key = SecretKey::generate()?;
        let mut generations = self
            .generations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let number = generations
            .last()
            .and_then(|newest| newest.number().checked_add(1))
            .ok_or_else(|| Error::Usage("the key has no room for another generation".to_owned()))?;
        let added = Arc::new(Generation::new(number, self.suite, key)?);
        *generations = generations.iter().cloned().chain([added]).collect();
        Ok(number)
    }

    /// Forgets every generation but the newest: what was sealed under them no longer opens.
    pub fn retire(&self) -> Result<()> {
        self.check_own("purge old versions of the key in its vault instead")?;
        let mut generations = self
            .generations
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let newest = generations.last().map(Arc::clone).ok_or(Error::Backend)?;
        *generations = Arc::new([newest]);
        Ok(())
    }

    /// Adopts the generations of another copy of this key, as another process left them.
    ///
    /// Every holder of this key seals under the newest of them from then on.
    pub fn adopt(&self, copy: &Self) -> Result<()> {
        if copy.id != self.id || copy.suite != self.suite || copy.origin != self.origin {
            return Err(Error::Usage(
                "these are generations of another key-encryption key".to_owned(),
            ));
        }
        let adopted = copy.snapshot();
        *self
            .generations
            .write()
            .unwrap_or_else(PoisonError::into_inner) = adopted;
        Ok(())
    }

    /// The size of the envelope of a message.
    pub fn sealed_size(&self, plaintext_size: usize) -> Result<usize> {
        plaintext_size
            .checked_add(self.suite.overhead())
            .ok_or_else(|| Error::Usage("the plaintext is too long".to_owned()))
    }

    /// The size of the message in an envelope, before it is opened.
    pub fn opened_size(&self, blob: &[u8]) -> Result<usize> {
        let overhead = self.suite.overhead();
        blob.len().checked_sub(overhead).ok_or(Error::Decrypt)
    }

    /// Seals one message.
    pub fn seal_into(&self, kind: Content, job: SealJob<'_>) -> Result<()> {
        let mut random = Zeroizing::new([0; RANDOM_SIZE]);
        rand::fill(random.as_mut_slice()).map_err(|_| Error::Backend)?;
        let generation = self.newest()?;
        self.seal_with(&generation, kind, job, random.as_slice())
    }

    /// Seals many messages. Their randomness is one draw.
    pub fn seal_many(&self, kind: Content, jobs: Vec<SealJob<'_>>) -> Result<()> {
        let mut random = SecretBytes::zeroed(jobs.len() * RANDOM_SIZE);
        rand::fill(random.expose_mut()).map_err(|_| Error::Backend)?;
        let generation = self.newest()?;
        for (job, random) in jobs
            .into_iter()
            .zip(random.expose().chunks_exact(RANDOM_SIZE))
        {
            self.seal_with(&generation, kind, job, random)?;
        }
        Ok(())
    }

    /// Opens one message.
    pub fn open_into(&self, kind: Content, job: OpenJob<'_>) -> Result<()> {
        self.open_with(&self.snapshot(), kind, job)
    }

    /// Opens many messages, all or none.
    pub fn open_many(&self, kind: Content, mut jobs: Vec<OpenJob<'_>>) -> Result<()> {
        let generations = self.snapshot();
        let all = jobs.iter_mut().try_for_each(|job| {
            let OpenJob { blob, context, out } = job;
            self.open_with(&generations, kind, OpenJob { blob, context, out })
        });
        if all.is_err() {
            for job in jobs {
                job.out.fill(0);
            }
        }
        all
    }

    /// Seals data that never leaves the core, for example a private key.
    pub fn seal(&self, kind: Content, plaintext: &[u8], context: &Context) -> Result<Vec<u8>> {
        let mut blob = vec![0; self.sealed_size(plaintext.len())?];
        self.seal_into(
            kind,
            SealJob {
                plaintext,
                context,
                out: &mut blob,
            },
        )?;
        Ok(blob)
    }

    /// Opens data that never leaves the core.
    pub fn open(&self, kind: Content, blob: &[u8], context: &Context) -> Result<SecretBytes> {
        let mut plaintext = SecretBytes::zeroed(self.opened_size(blob)?);
        self.open_into(
            kind,
            OpenJob {
                blob,
                context,
                out: plaintext.expose_mut(),
            },
        )?;
        Ok(plaintext)
    }

    /// Checks that a blob with any content except a stream opens under a context.
    pub fn verify(&self, blob: &[u8], context: &Context) -> Result<()> {
        let kind = Parts::parse(blob).ok_or(Error::Decrypt)?.header.content;
        if kind == Content::Stream {
            return Err(Error::Decrypt);
        }
        self.open(kind, blob, context).map(drop)
    }

    /// The bytes of the newest generation. Only code that wraps this key elsewhere may call this.
    pub fn danger_expose(&self) -> Result<Zeroizing<[u8; KEY_SIZE]>> {
        self.check_own("it does not leave the core")?;
        Ok(Zeroizing::new(*self.newest()?.key().expose()))
    }

    /// Starts an envelope: wraps its data key, and returns everything before its payload nonce.
    pub(crate) fn start(
        &self,
        kind: Content,
        random: &Randomness<'_>,
    ) -> Result<([u8; HEADER_SIZE], Vec<u8>)> {
        let generation = self.newest()?;
        let bytes = self.header(kind, generation.number()).bytes();
        let mut head = vec![0; bytes.len() + self.suite.wrap_size()];
        let (place, wrapped) = head
            .split_at_mut_checked(bytes.len())
            .ok_or(Error::Backend)?;
        place.copy_from_slice(&bytes);
        generation.wrap(&bytes, random.wrap_nonce, random.data_key, wrapped)?;
        Ok((bytes, head))
    }

    /// Unwraps the data key of an envelope with this content.
    pub(crate) fn data_key(
        &self,
        kind: Content,
        parts: &Parts<'_>,
        data_key: &mut [u8; KEY_SIZE],
    ) -> Result<()> {
        if parts.header.content != kind {
            return Err(Error::Decrypt);
        }
        self.unwrap(&self.snapshot(), parts, data_key)
    }

    fn seal_with(
        &self,
        generation: &Generation,
        kind: Content,
        job: SealJob<'_>,
        random: &[u8],
    ) -> Result<()> {
        let SealJob {
            plaintext,
            context,
            out,
        } = job;
        if out.len() != self.sealed_size(plaintext.len())? {
            return Err(Error::Backend);
        }
        let random = Randomness::of(random)?;
        let bytes = self.header(kind, generation.number()).bytes();
        let (place, rest) = out
            .split_first_chunk_mut::<HEADER_SIZE>()
            .ok_or(Error::Backend)?;
        let (wrapped, rest) = rest
            .split_at_mut_checked(self.suite.wrap_size())
            .ok_or(Error::Backend)?;
        *place = bytes;
        generation.wrap(&bytes, random.wrap_nonce, random.data_key, wrapped)?;
        envelope::seal_into(
            &random,
            envelope::stable(&bytes)?,
            context.as_bytes(),
            plaintext,
            rest,
        )
    }

    fn open_with(
        &self,
        generations: &[Arc<Generation>],
        kind: Content,
        job: OpenJob<'_>,
    ) -> Result<()> {
        let OpenJob { blob, context, out } = job;
        let parts = Parts::parse(blob)
            .filter(|parts| parts.header.content == kind)
            .filter(|parts| parts.body.len().checked_sub(TAG_SIZE) == Some(out.len()))
            .ok_or(Error::Decrypt)?;
        let mut data_key = Zeroizing::new([0; KEY_SIZE]);
        self.unwrap(generations, &parts, &mut data_key)?;
        envelope::open_into(&parts, &data_key, context.as_bytes(), out)
    }

    fn unwrap(
        &self,
        generations: &[Arc<Generation>],
        parts: &Parts<'_>,
        data_key: &mut [u8; KEY_SIZE],
    ) -> Result<()> {
        let header = &parts.header;
        if header.kek_id != self.id || header.suite != self.suite {
            return Err(Error::Decrypt);
        }
        let generation = match generations.last() {
            Some(newest) if newest.number() == header.generation => newest,
            _ => generations
                .binary_search_by_key(&header.generation, |generation| generation.number())
                .ok()
                .and_then(|index| generations.get(index))
                .ok_or(Error::Decrypt)?,
        };
        generation.unwrap(parts.header_bytes, parts.wrapped, data_key)
    }

    /// Refuses what a key that follows a vault's cannot do.
    fn check_own(&self, instead: &str) -> Result<()> {
        match self.origin {
            Origin::Own => Ok(()),
            Origin::Versions => Err(Error::Usage(format!(
                "this key follows the versions of a key in a vault; {instead}"
            ))),
        }
    }

    fn header(&self, kind: Content, generation: u32) -> Header {
        Header {
            suite: self.suite,
            content: kind,
            kek_id: self.id,
            generation,
        }
    }

    fn snapshot(&self) -> Arc<[Arc<Generation>]> {
        Arc::clone(
            &self
                .generations
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }

    fn newest(&self) -> Result<Arc<Generation>> {
        let generations = self
            .generations
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        generations.last().map(Arc::clone).ok_or(Error::Backend)
    }
}

impl fmt::Debug for KeyEncryptionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "KeyEncryptionKey({}, generation {})",
            self.id,
            self.generation()
        )
    }
}

/// `SHA-256(label | suite | key)`, cut to 16 bytes. The key has 256 bits, so its digest reveals
/// nothing about it.
fn derive_id(suite: Suite, key: &SecretKey) -> KekId {
    let mut input = Zeroizing::new([0; ID_LABEL.len() + 1 + KEY_SIZE]);
    let number = [suite.number()];
    let parts = ID_LABEL.iter().chain(&number).chain(key.expose());
    for (target, value) in input.iter_mut().zip(parts) {
        *target = *value;
    }
    let digest = digest::digest(&digest::SHA256, input.as_slice());
    let mut id = [0; KEK_ID_SIZE];
    for (target, value) in id.iter_mut().zip(digest.as_ref()) {
        *target = *value;
    }
    KekId(id)
}

const ID_LABEL: [u8; 16] = *b"vaultcore/kek-id";

// Not under Miri: the backend is C.
#[cfg(all(test, not(miri)))]
mod tests;
