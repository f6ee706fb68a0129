//! The identity of a caller.

/// A caller's identity, as in a token that was validated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// The client application that requested the token, or the empty string.
    pub app_id: String,
    /// The caller's groups, by object id.
    pub groups: Vec<String>,
    /// The issuer of the token.
    pub issuer: String,
    /// A name for people, for example a user principal name; never used for decisions.
    pub name: String,
    /// The id that access policies name.
    pub object_id: String,
    /// The caller's tenant.
    pub tenant_id: String,
}

impl Principal {
    /// The caller, in the words of a refusal (contract section 2.2).
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "appid={};oid={};iss={}",
            self.app_id, self.object_id, self.issuer
        )
    }
}
