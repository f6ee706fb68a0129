//! Who a caller is.

/// A caller as his token describes him, after the token was checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Principal {
    /// The client application that asked for the token, or the empty string.
    pub app_id: String,
    /// The groups he is a member of, by object id.
    pub groups: Vec<String>,
    /// Who issued the token.
    pub issuer: String,
    /// A name for people, for example a user principal name; never used to decide.
    pub name: String,
    /// The id that access policies name.
    pub object_id: String,
    /// The tenant he belongs to.
    pub tenant_id: String,
}

impl Principal {
    /// The caller in the words of a refusal (contract section 2.2).
    #[must_use]
    pub fn describe(&self) -> String {
        format!(
            "appid={};oid={};iss={}",
            self.app_id, self.object_id, self.issuer
        )
    }
}
