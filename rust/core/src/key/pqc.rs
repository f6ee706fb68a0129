//! Post-quantum keys: ML-DSA (FIPS 204), and ML-KEM-768 (FIPS 203) together with X25519.
//!
//! The hybrid key is that of X-Wing (draft-connolly-cfrg-xwing-kem): breaking only one of the two
//! reveals nothing. Its public keys and ciphertexts are those of X-Wing; its private key is not the
//! seed of X-Wing, because the backend cannot create an ML-KEM key from a seed, so it exists only
//! sealed.

use aws_lc_rs::kem::{Ciphertext, DecapsulationKey, EncapsulationKey, ML_KEM_768};
use aws_lc_rs::signature::{
    KeyPair, ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
    ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING,
};
use aws_lc_rs::{agreement, digest, rand};
use zeroize::Zeroizing;

use super::algorithm::{AesSize, Algorithm, MlDsa};
use super::{no_private_part, oct, unfit};
use crate::{Error, Result};

/// An ML-DSA key, public or with its private part.
pub(super) struct MlDsaKey {
    set: MlDsa,
    public: Vec<u8>,
    verifying: ParsedPublicKey,
    private: Option<(Zeroizing<[u8; SEED_LEN]>, PqdsaKeyPair)>,
}

impl MlDsaKey {
    pub(super) fn generate(set: MlDsa) -> Result<Self> {
        let mut seed = Zeroizing::new([0; SEED_LEN]);
        rand::fill(seed.as_mut()).map_err(|_| Error::Backend)?;
        Self::from_seed(set, seed.as_ref(), None)
    }

    pub(super) fn from_public(set: MlDsa, public: &[u8]) -> Result<Self> {
        let algorithm: &'static PqdsaVerificationAlgorithm = match set {
            MlDsa::MlDsa44 => &ML_DSA_44,
            MlDsa::MlDsa65 => &ML_DSA_65,
            MlDsa::MlDsa87 => &ML_DSA_87,
        };
        let expected = signing(set).public_key_len();
        if public.len() != expected {
            return Err(Error::KeyFormat(format!(
                "the public key must have {expected} bytes for {}",
                set.name()
            )));
        }
        let verifying = ParsedPublicKey::new(algorithm, public)
            .map_err(|_| Error::KeyFormat(format!("the {} public key is not valid", set.name())))?;
        Ok(Self {
            set,
            public: public.to_vec(),
            verifying,
            private: None,
        })
    }

    /// A private key from its seed; the public key is checked if it is given.
    pub(super) fn from_seed(set: MlDsa, seed: &[u8], public: Option<&[u8]>) -> Result<Self> {
        let seed: [u8; SEED_LEN] = seed.try_into().map_err(|_| {
            Error::KeyFormat(format!(
                "the private key must be a seed of {SEED_LEN} bytes"
            ))
        })?;
        let seed = Zeroizing::new(seed);
        let pair =
            PqdsaKeyPair::from_seed(signing(set), seed.as_ref()).map_err(|_| Error::Backend)?;
        if public.is_some_and(|public| public != pair.public_key().as_ref()) {
            return Err(Error::KeyFormat(format!(
                "the {} private key does not fit its public key",
                set.name()
            )));
        }
        let mut key = Self::from_public(set, pair.public_key().as_ref())?;
        key.private = Some((seed, pair));
        Ok(key)
    }

    /// Checks that the seed and the expanded key of one PKCS#8 document agree.
    pub(super) fn check_both(set: MlDsa, pkcs8: &[u8]) -> Result<()> {
        PqdsaKeyPair::from_pkcs8(signing(set), pkcs8)
            .map(|_| ())
            .map_err(|_| {
                Error::KeyFormat(format!(
                    "the {} seed does not fit the expanded key",
                    set.name()
                ))
            })
    }

    pub(super) fn set(&self) -> MlDsa {
        self.set
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The seed, which is the private key (FIPS 204 section 3.6.3).
    pub(super) fn seed(&self) -> Result<&[u8]> {
        self.private
            .as_ref()
            .map(|(seed, _)| seed.as_slice())
            .ok_or_else(no_private_part)
    }

    pub(super) fn sign(&self, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>> {
        self.check(algorithm)?;
        let (_, pair) = self.private.as_ref().ok_or_else(no_private_part)?;
        let mut signature = vec![0; signing(self.set).signature_len()];
        let written = pair
            .sign(message, &mut signature)
            .map_err(|_| Error::Backend)?;
        signature.truncate(written);
        Ok(signature)
    }

    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<bool> {
        self.check(algorithm)?;
        Ok(self.verifying.verify_sig(message, signature).is_ok())
    }

    fn check(&self, algorithm: Algorithm) -> Result<()> {
        if algorithm == Algorithm::MlDsa(self.set) {
            Ok(())
        } else {
            Err(unfit(algorithm, self.set.name()))
        }
    }
}

/// A key of ML-KEM-768 and X25519, public or with its private part.
pub(super) struct HybridKey {
    // The key of ML-KEM, then that of X25519.
    public: Vec<u8>,
    encapsulating: EncapsulationKey,
    private: Option<(DecapsulationKey, agreement::PrivateKey)>,
}

impl HybridKey {
    pub(super) fn generate() -> Result<Self> {
        let kem = DecapsulationKey::generate(&ML_KEM_768).map_err(|_| Error::Backend)?;
        let agreeing =
            agreement::PrivateKey::generate(&agreement::X25519).map_err(|_| Error::Backend)?;
        let kem_public = kem
            .encapsulation_key()
            .and_then(|key| key.key_bytes())
            .map_err(|_| Error::Backend)?;
        let agreeing_public = agreeing.compute_public_key().map_err(|_| Error::Backend)?;
        let public = [kem_public.as_ref(), agreeing_public.as_ref()].concat();
        let mut key = Self::from_public(&public)?;
        key.private = Some((kem, agreeing));
        Ok(key)
    }

    pub(super) fn from_public(public: &[u8]) -> Result<Self> {
        let (kem, _) = public
            .split_at_checked(KEM_PUBLIC_LEN)
            .filter(|(_, agreeing)| agreeing.len() == X25519_LEN)
            .ok_or_else(|| {
                Error::KeyFormat(format!(
                    "the public key must have {} bytes",
                    KEM_PUBLIC_LEN + X25519_LEN
                ))
            })?;
        let invalid = || Error::KeyFormat("the hybrid public key is not valid".to_owned());
        let encapsulating = EncapsulationKey::new(&ML_KEM_768, kem).map_err(|_| invalid())?;
        let key = Self {
            public: public.to_vec(),
            encapsulating,
            private: None,
        };
        // The backend checks the coefficients (FIPS 203 section 7.2) and the order of the point
        // when the key is used, so it is used once.
        key.wrap(Algorithm::HybridWrap, &[0])
            .map_err(|_| invalid())?;
        Ok(key)
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(super) fn is_private(&self) -> bool {
        self.private.is_some()
    }

    /// The private parts, in the form of [`HybridKey::from_private`].
    pub(super) fn private(&self) -> Result<Zeroizing<Vec<u8>>> {
        use aws_lc_rs::encoding::{AsBigEndian, Curve25519SeedBin};
        let (kem, agreeing) = self.private.as_ref().ok_or_else(no_private_part)?;
        let kem = kem.key_bytes().map_err(|_| Error::Backend)?;
        let agreeing: Curve25519SeedBin<'static> =
            agreeing.as_be_bytes().map_err(|_| Error::Backend)?;
        let mut private = Zeroizing::new(Vec::with_capacity(KEM_PRIVATE_LEN + X25519_LEN));
        private.extend_from_slice(kem.as_ref());
        private.extend_from_slice(agreeing.as_ref());
        Ok(private)
    }

    pub(super) fn from_private(private: &[u8]) -> Result<Self> {
        let (kem_bytes, agreeing) = private
            .split_at_checked(KEM_PRIVATE_LEN)
            .ok_or(Error::Decrypt)?;
        let kem = DecapsulationKey::new(&ML_KEM_768, kem_bytes).map_err(|_| Error::Decrypt)?;
        let agreeing = agreement::PrivateKey::from_private_key(&agreement::X25519, agreeing)
            .map_err(|_| Error::Decrypt)?;
        // FIPS 203 section 7.1: the private key contains the public one.
        let kem_public = kem_bytes
            .get(KEM_PUBLIC_START..KEM_PUBLIC_START + KEM_PUBLIC_LEN)
            .ok_or(Error::Decrypt)?;
        let agreeing_public = agreeing.compute_public_key().map_err(|_| Error::Decrypt)?;
        let mut key = Self::from_public(&[kem_public, agreeing_public.as_ref()].concat())?;
        key.private = Some((kem, agreeing));
        Ok(key)
    }

    /// Encapsulates a fresh key-encryption key and wraps `key` under it with AES-256-KWP.
    pub(super) fn wrap(&self, algorithm: Algorithm, key: &[u8]) -> Result<Vec<u8>> {
        check_hybrid(algorithm)?;
        if key.is_empty() {
            return Err(Error::Algorithm(format!(
                "{} cannot wrap an empty key",
                algorithm.name()
            )));
        }
        let (kem_ciphertext, kem_secret) = self
            .encapsulating
            .encapsulate()
            .map_err(|_| Error::Backend)?;
        let ephemeral =
            agreement::PrivateKey::generate(&agreement::X25519).map_err(|_| Error::Backend)?;
        let ephemeral_public = ephemeral.compute_public_key().map_err(|_| Error::Backend)?;
        let peer = self.agreeing_public()?;
        let kek = agree(&ephemeral, peer, |agreed| {
            combine(kem_secret.as_ref(), agreed, ephemeral_public.as_ref(), peer)
        })
        .map_err(|_| Error::Backend)?;
        let wrapped = oct::wrap(kek.as_ref(), AesSize::Bits256, true, key)?;
        Ok([kem_ciphertext.as_ref(), ephemeral_public.as_ref(), &wrapped].concat())
    }

    /// Unwraps what [`HybridKey::wrap`] wrapped.
    pub(super) fn unwrap(
        &self,
        algorithm: Algorithm,
        wrapped: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>> {
        check_hybrid(algorithm)?;
        let (kem, agreeing) = self.private.as_ref().ok_or_else(no_private_part)?;
        let (kem_ciphertext, rest) = wrapped
            .split_at_checked(KEM_CIPHERTEXT_LEN)
            .ok_or(Error::Decrypt)?;
        let (ephemeral, wrapped) = rest.split_at_checked(X25519_LEN).ok_or(Error::Decrypt)?;
        let kem_secret = kem
            .decapsulate(Ciphertext::from(kem_ciphertext))
            .map_err(|_| Error::Decrypt)?;
        let own = self.agreeing_public()?;
        let kek = agree(agreeing, ephemeral, |agreed| {
            combine(kem_secret.as_ref(), agreed, ephemeral, own)
        })?;
        oct::unwrap(kek.as_ref(), AesSize::Bits256, true, wrapped)
    }

    fn agreeing_public(&self) -> Result<&[u8]> {
        self.public.get(KEM_PUBLIC_LEN..).ok_or(Error::Backend)
    }
}

fn agree(
    private: &agreement::PrivateKey,
    public: &[u8],
    combine: impl FnOnce(&[u8]) -> Zeroizing<[u8; 32]>,
) -> Result<Zeroizing<[u8; 32]>> {
    let public = agreement::UnparsedPublicKey::new(&agreement::X25519, public);
    agreement::agree(private, public, Error::Decrypt, |agreed| {
        Ok(combine(agreed))
    })
}

/// `SHA3-256(ss_M || ss_X || ct_X || pk_X || XWingLabel)`
/// (draft-connolly-cfrg-xwing-kem section 5.3).
fn combine(kem: &[u8], agreed: &[u8], ephemeral: &[u8], public: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut context = digest::Context::new(&digest::SHA3_256);
    for part in [kem, agreed, ephemeral, public, XWING_LABEL] {
        context.update(part);
    }
    let mut kek = Zeroizing::new([0; 32]);
    kek.copy_from_slice(context.finish().as_ref());
    kek
}

fn check_hybrid(algorithm: Algorithm) -> Result<()> {
    if algorithm == Algorithm::HybridWrap {
        Ok(())
    } else {
        Err(unfit(algorithm, Algorithm::HybridWrap.name()))
    }
}

fn signing(set: MlDsa) -> &'static PqdsaSigningAlgorithm {
    match set {
        MlDsa::MlDsa44 => &ML_DSA_44_SIGNING,
        MlDsa::MlDsa65 => &ML_DSA_65_SIGNING,
        MlDsa::MlDsa87 => &ML_DSA_87_SIGNING,
    }
}

const SEED_LEN: usize = 32;
const X25519_LEN: usize = 32;
// FIPS 203 section 8, table 3.
const KEM_PUBLIC_LEN: usize = 1184;
const KEM_PRIVATE_LEN: usize = 2400;
const KEM_CIPHERTEXT_LEN: usize = 1088;
/// Where the public key begins in the private one: after 3 * 384 bytes of vector.
const KEM_PUBLIC_START: usize = 1152;
/// `\./` over `/^\`, in one line.
const XWING_LABEL: &[u8] = b"\\.//^\\";
