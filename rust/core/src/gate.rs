//! The gate: parse, challenge, firewall, token, permission, in that order and in one call.
//!
//! What is wrong with a request is shown only to a caller whose address may talk to the vault and
//! whose token is known: a stranger learns that a token is required, and nothing else.
//!
//! A token is known after its signature and claims were checked elsewhere and the result was
//! remembered here, under the token's SHA-256 digest. The token itself is not kept.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use aws_lc_rs::digest::{digest, SHA256};

use crate::error::{Error, Result};
use crate::firewall::Firewall;
use crate::operation::{self, Operation, Refusal};
use crate::policy::{Permission, Permissions, Policies};
use crate::principal::Principal;

/// The most tokens that are remembered; beyond that, the one that expires first is forgotten.
pub const MAX_TOKENS: usize = 10_000;
/// The longest token that is examined.
pub const MAX_TOKEN_LENGTH: usize = 16 * 1024;
/// How far this clock may be behind the issuer's, in seconds. An expiry gets no such leeway.
const NOT_BEFORE_LEEWAY: f64 = 60.0;
/// For how many vaults a token's permissions are remembered.
const MAX_GRANTED: usize = 16;

/// The gate's decision about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It continues to the object's own rules.
    Admitted = 0,
    /// It has no token: answer with the challenge.
    Challenge = 1,
    /// Its address may not talk to this vault.
    Firewall = 2,
    /// Its token is not remembered, or is outside its times: validate it, remember it, ask again.
    UnknownToken = 3,
    /// The caller is known, but the request is malformed or asks for something that does not exist.
    Invalid = 4,
    /// The caller is known, but has no permission for this.
    Denied = 5,
}

/// The gate's decision about a request, with its reasons.
#[derive(Debug, Clone)]
pub struct Admission {
    /// The decision.
    pub outcome: Outcome,
    /// The operation, if it could be parsed; for the audit, whatever the outcome.
    pub operation: Option<Operation>,
    /// The caller, if the token is known.
    pub principal: Option<Arc<Principal>>,
    /// What to answer, unless the request was admitted or its token is unknown.
    pub refusal: Option<Refusal>,
}

/// A request, as it arrived.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The address it came from.
    pub address: &'a str,
    /// The `Authorization` header, if there is one.
    pub authorization: Option<&'a [u8]>,
    /// The method, after any override by header.
    pub method: &'a str,
    /// The time, in seconds since the Unix epoch.
    pub now: f64,
    /// The path, undecoded.
    pub path: &'a [u8],
    /// What follows the question mark, undecoded.
    pub query: &'a [u8],
    /// The vault of its host name.
    pub vault: &'a str,
}

/// An operation that an authenticated caller requests in process.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    /// The address of the caller; none for a caller in this process.
    pub address: Option<&'a str>,
    /// The operation, as [`operation::named`] or [`operation::parse`] returned it.
    pub parsed: std::result::Result<Operation, Refusal>,
    /// The vault.
    pub vault: &'a str,
}

/// What the gate needs to know about a vault.
#[derive(Debug)]
pub struct VaultRules {
    /// Who may talk to it.
    pub firewall: Firewall,
    /// Its location in refusals.
    pub location: String,
    /// Its access policies.
    pub policies: Policies,
}

/// The vaults, their rules, and the tokens seen before.
#[derive(Debug, Default)]
pub struct Gate {
    revision: u64,
    tokens: Tokens,
    vaults: HashMap<String, Vault>,
}

#[derive(Debug)]
struct Vault {
    name: String,
    /// The edition of the rules. What a token was granted under another edition is void.
    revision: u64,
    rules: VaultRules,
}

impl Gate {
    /// A gate without vaults and tokens.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a vault or replaces its rules, from the next request on.
    pub fn set_vault(&mut self, name: &str, rules: VaultRules) {
        self.revision += 1;
        let vault = Vault {
            name: name.to_owned(),
            revision: self.revision,
            rules,
        };
        self.vaults.insert(name.to_ascii_lowercase(), vault);
    }

    /// Removes a vault.
    pub fn remove_vault(&mut self, name: &str) {
        self.vaults.remove(&name.to_ascii_lowercase());
    }

    /// Remembers the content of a valid token, until it expires.
    pub fn remember(
        &mut self,
        token: &[u8],
        principal: Arc<Principal>,
        expires: f64,
        not_before: f64,
    ) -> Result<()> {
        if token.is_empty() || token.len() > MAX_TOKEN_LENGTH {
            return Err(Error::Usage(format!(
                "a token is 1 to {MAX_TOKEN_LENGTH} bytes long"
            )));
        }
        if !(expires.is_finite() && expires >= 0.0 && not_before.is_finite()) {
            return Err(Error::Usage(
                "the times of a token are seconds since 1970".to_owned(),
            ));
        }
        let known = Known {
            expires,
            granted: Vec::new(),
            not_before,
            principal,
        };
        self.tokens.insert(fingerprint(token), known);
        Ok(())
    }

    /// Forgets every token, for example when an issuer is no longer trusted.
    pub fn forget_tokens(&mut self) {
        self.tokens = Tokens::default();
    }

    /// Decides about a request.
    pub fn admit(&mut self, request: &Request<'_>) -> Admission {
        let Some(vault) = lookup(&self.vaults, request.vault) else {
            return refused(Outcome::Invalid, None, None, no_vault());
        };
        let parsed = operation::parse(request.method, request.path, request.query);
        let Some(token) = request.authorization.and_then(bearer_token) else {
            return refused(Outcome::Challenge, parsed.ok(), None, challenge());
        };
        if !vault.rules.firewall.allows(request.address) {
            let refusal = vault.outside(request.address, &parsed);
            return refused(Outcome::Firewall, parsed.ok(), None, refusal);
        }
        let Some(known) = self.tokens.find(token, request.now) else {
            let operation = parsed.ok();
            return Admission {
                outcome: Outcome::UnknownToken,
                operation,
                principal: None,
                refusal: None,
            };
        };
        let granted = known.granted_in(vault);
        let principal = Arc::clone(&known.principal);
        match parsed {
            Err(refusal) => refused(Outcome::Invalid, None, Some(principal), refusal),
            Ok(operation) => vault.decide(operation, principal, granted),
        }
    }

    /// Decides about an operation of a caller who is already authenticated, as in process.
    ///
    /// The order is that of [`Gate::admit`]: the address, if there is one, the names, the
    /// permission.
    #[must_use]
    pub fn authorize(&self, asked: Asked<'_>, principal: Arc<Principal>) -> Admission {
        let parsed = asked.parsed;
        let Some(vault) = lookup(&self.vaults, asked.vault) else {
            return refused(Outcome::Invalid, parsed.ok(), Some(principal), no_vault());
        };
        if let Some(address) = asked.address {
            if !vault.rules.firewall.allows(address) {
                let refusal = vault.outside(address, &parsed);
                return refused(Outcome::Firewall, parsed.ok(), Some(principal), refusal);
            }
        }
        match parsed {
            Err(refusal) => refused(Outcome::Invalid, None, Some(principal), refusal),
            Ok(operation) => {
                let granted = vault.rules.policies.granted(&principal);
                vault.decide(operation, principal, granted)
            }
        }
    }

    /// Whether a caller has a permission in a vault.
    #[must_use]
    pub fn permitted(&self, vault: &str, principal: &Principal, permission: Permissions) -> bool {
        lookup(&self.vaults, vault).is_some_and(|vault| {
            vault
                .rules
                .policies
                .granted(principal)
                .intersects(permission)
        })
    }

    /// Whether an address may talk to a vault.
    #[must_use]
    pub fn address_allowed(&self, vault: &str, address: &str) -> bool {
        lookup(&self.vaults, vault).is_some_and(|vault| vault.rules.firewall.allows(address))
    }
}

impl Vault {
    fn decide(
        &self,
        operation: Operation,
        principal: Arc<Principal>,
        granted: Permissions,
    ) -> Admission {
        let Some(missing) = operation.verb.missing(granted) else {
            return Admission {
                outcome: Outcome::Admitted,
                operation: Some(operation),
                principal: Some(principal),
                refusal: None,
            };
        };
        let refusal = self.denied(&principal, missing);
        refused(Outcome::Denied, Some(operation), Some(principal), refusal)
    }

    /// The contract's words for a missing permission (section 2.2).
    fn denied(&self, principal: &Principal, missing: Permission) -> Refusal {
        Refusal {
            code: "Forbidden",
            inner: Some("AccessDenied"),
            message: format!(
                "The user, group or application '{}' does not have {} permission on key vault \
                 '{};location={}'. For help resolving this issue, please see \
                 https://go.microsoft.com/fwlink/?linkid=2125287",
                principal.describe(),
                missing.name().replace('/', " "),
                self.name,
                self.rules.location,
            ),
            status: 403,
            verb: None,
        }
    }

    /// The contract's words for a foreign address. The caller is not named, because the token has
    /// not been read. The operation is named even if the request is malformed, for the audit.
    fn outside(&self, address: &str, parsed: &std::result::Result<Operation, Refusal>) -> Refusal {
        Refusal {
            code: "Forbidden",
            inner: Some("ForbiddenByFirewall"),
            message: format!(
                "Client address is not authorized and caller is not a trusted service.\r\n\
                 Client address: {address}\r\nCaller: (not read)\r\n\
                 Vault: {};location={}",
                self.name, self.rules.location,
            ),
            status: 403,
            verb: parsed.as_ref().err().and_then(|refused| refused.verb),
        }
    }
}

/// The token of an `Authorization` header with the scheme `Bearer` (RFC 6750 section 2.1).
#[must_use]
pub fn bearer_token(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = authorization.split_at_checked(b"Bearer".len())?;
    if !scheme.eq_ignore_ascii_case(b"Bearer") || rest.first() != Some(&b' ') {
        return None;
    }
    let token = rest.trim_ascii();
    // Without a branch for each byte, so that the compiler uses vector instructions.
    let well_formed = token
        .iter()
        .fold(true, |all, &byte| all & is_token_byte(byte));
    (well_formed && !token.is_empty()).then_some(token)
}

/// A byte of RFC 6750's `b64token`.
#[expect(
    clippy::needless_bitwise_bool,
    reason = "vector instructions have no branches"
)]
fn is_token_byte(byte: u8) -> bool {
    let letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    let digit = byte.wrapping_sub(b'0') < 10;
    let first = (byte == b'-') | (byte == b'.') | (byte == b'_') | (byte == b'~');
    letter | digit | first | (byte == b'+') | (byte == b'/') | (byte == b'=')
}

fn lookup<'a>(vaults: &'a HashMap<String, Vault>, name: &str) -> Option<&'a Vault> {
    // The name unchanged first: it nearly always is lower case, and folding it would allocate.
    vaults
        .get(name)
        .or_else(|| vaults.get(&name.to_ascii_lowercase()))
}

fn refused(
    outcome: Outcome,
    operation: Option<Operation>,
    principal: Option<Arc<Principal>>,
    refusal: Refusal,
) -> Admission {
    Admission {
        outcome,
        operation,
        principal,
        refusal: Some(refusal),
    }
}

fn challenge() -> Refusal {
    Refusal {
        code: "Unauthorized",
        inner: None,
        message: "AKV10000: Request is missing a Bearer or PoP token.".to_owned(),
        status: 401,
        verb: None,
    }
}

fn no_vault() -> Refusal {
    Refusal {
        code: "VaultNotFound",
        inner: None,
        message: "there is no vault of this name here".to_owned(),
        status: 404,
        verb: None,
    }
}

type Fingerprint = [u8; 32];

fn fingerprint(token: &[u8]) -> Fingerprint {
    let mut fingerprint = [0; 32];
    for (to, from) in fingerprint.iter_mut().zip(digest(&SHA256, token).as_ref()) {
        *to = *from;
    }
    fingerprint
}

/// What is remembered about a token.
#[derive(Debug)]
struct Known {
    expires: f64,
    /// Its permissions, by the revision of the vault's rules.
    granted: Vec<(u64, Permissions)>,
    not_before: f64,
    principal: Arc<Principal>,
}

impl Known {
    fn granted_in(&mut self, vault: &Vault) -> Permissions {
        let cached = self
            .granted
            .iter()
            .find(|(revision, _)| *revision == vault.revision);
        if let Some(&(_, granted)) = cached {
            return granted;
        }
        let granted = vault.rules.policies.granted(&self.principal);
        if self.granted.len() >= MAX_GRANTED {
            self.granted.clear();
        }
        self.granted.push((vault.revision, granted));
        granted
    }
}

/// The tokens, and the order in which they expire.
#[derive(Debug, Default)]
struct Tokens {
    // INVARIANT: both hold the same tokens. The bits of times that are not negative sort as the
    // times do.
    by_expiry: BTreeSet<(u64, Fingerprint)>,
    known: HashMap<Fingerprint, Known>,
}

impl Tokens {
    fn insert(&mut self, fingerprint: Fingerprint, known: Known) {
        let expires = known.expires.to_bits();
        if let Some(before) = self.known.insert(fingerprint, known) {
            self.by_expiry
                .remove(&(before.expires.to_bits(), fingerprint));
        }
        self.by_expiry.insert((expires, fingerprint));
        while self.known.len() > MAX_TOKENS {
            let Some((_, soonest)) = self.by_expiry.pop_first() else {
                break;
            };
            self.known.remove(&soonest);
        }
    }

    /// A token that is known and within its times.
    fn find(&mut self, token: &[u8], now: f64) -> Option<&mut Known> {
        if token.len() > MAX_TOKEN_LENGTH {
            return None;
        }
        self.known.get_mut(&fingerprint(token)).filter(|known| {
            // Written so that a clock that is not a number finds no token.
            now < known.expires && now >= known.not_before - NOT_BEFORE_LEEWAY
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::firewall::DefaultAction;
    use crate::policy::Grant;

    fn open_gate() -> Gate {
        let mut gate = Gate::new();
        let grant = Grant {
            app_id: String::new(),
            object_id: "alice".to_owned(),
            permissions: Permissions::of(Permission::SecretsGet),
        };
        if let Ok(firewall) = Firewall::compile(DefaultAction::Allow, []) {
            let rules = VaultRules {
                firewall,
                location: "here".to_owned(),
                policies: Policies::compile([grant]),
            };
            gate.set_vault("dev", rules);
        }
        let alice = Principal {
            object_id: "alice".to_owned(),
            ..Principal::default()
        };
        assert!(gate.remember(b"token", Arc::new(alice), 100.0, 0.0).is_ok());
        gate
    }

    fn request<'a>(method: &'a str, authorization: Option<&'a [u8]>) -> Request<'a> {
        Request {
            address: "192.0.2.1",
            authorization,
            method,
            now: 50.0,
            path: b"/secrets/a",
            query: b"api-version=7.4",
            vault: "dev",
        }
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn outcomes_follow_from_token_and_grant() {
        let mut gate = open_gate();
        let token: Option<&[u8]> = Some(b"Bearer token");
        assert_eq!(
            gate.admit(&request("GET", None)).outcome,
            Outcome::Challenge
        );
        assert_eq!(
            gate.admit(&request("GET", Some(b"Bearer x"))).outcome,
            Outcome::UnknownToken
        );
        assert_eq!(
            gate.admit(&request("GET", token)).outcome,
            Outcome::Admitted
        );
        assert_eq!(gate.admit(&request("PUT", token)).outcome, Outcome::Denied);
        assert_eq!(
            gate.admit(&request("POST", token)).outcome,
            Outcome::Invalid
        );
        gate.forget_tokens();
        assert_eq!(
            gate.admit(&request("GET", token)).outcome,
            Outcome::UnknownToken
        );
    }

    #[test]
    #[cfg_attr(miri, ignore = "the backend is C")]
    fn tokens_and_their_order_stay_together() {
        let mut tokens = Tokens::default();
        for number in 0..3 * MAX_TOKENS {
            // Times repeat and tokens come back, so that both maps are overwritten.
            let expires = f64::from(u32::try_from(number % 17).unwrap_or_default());
            let known = Known {
                expires,
                granted: Vec::new(),
                not_before: 0.0,
                principal: Arc::new(Principal::default()),
            };
            tokens.insert(fingerprint(&(number % 15_000).to_le_bytes()), known);
            assert_eq!(tokens.known.len(), tokens.by_expiry.len());
            assert!(tokens.known.len() <= MAX_TOKENS);
        }
    }

    #[test]
    fn every_byte_of_a_token_is_one_of_rfc_6750() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            assert_eq!(is_token_byte(byte), expected, "{byte}");
        }
    }
}
