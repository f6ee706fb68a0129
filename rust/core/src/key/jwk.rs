//! JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037), read strictly.

use std::collections::BTreeMap;
use std::fmt;

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::Engine as _;
use pkcs8::der::Decode as _;
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, Visitor};
use zeroize::Zeroizing;

use super::algorithm::{Algorithm, Curve, MlDsa};
use super::ec::EcKey;
use super::oct::OctKey;
use super::okp::{OkpCurve, OkpKey};
use super::pqc::{HybridKey, MlDsaKey};
use super::rsa::{PrivateComponents, RsaKey};
use super::{unknown_type, Material};
use crate::{Error, Result};

/// The members of a JWK, before they are interpreted. Wiped when dropped.
#[derive(Default)]
pub struct Jwk {
    // None means a value that is not a string.
    members: BTreeMap<String, Option<Zeroizing<String>>>,
}

impl Jwk {
    /// A JWK without members.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member; `None` means a value that is not a string.
    pub fn insert(&mut self, name: &str, value: Option<&str>) -> Result<()> {
        let value = value.map(|value| Zeroizing::new(value.to_owned()));
        if self.members.insert(name.to_owned(), value).is_some() {
            return Err(Error::KeyFormat("the JWK has a member twice".to_owned()));
        }
        Ok(())
    }

    /// Parses the JSON text of a JWK.
    pub fn parse(json: &[u8]) -> Result<Self> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        // The parser's own message could quote the text, so it is not passed on.
        let jwk = deserializer.deserialize_map(JwkVisitor).map_err(|_| {
            Error::KeyFormat("the JWK is not a JSON object of distinct members".to_owned())
        })?;
        deserializer
            .end()
            .map_err(|_| Error::KeyFormat("there is text after the JWK".to_owned()))?;
        Ok(jwk)
    }

    fn has(&self, name: &str) -> bool {
        self.members.contains_key(name)
    }

    fn text(&self, name: &str) -> Result<&str> {
        match self.members.get(name) {
            None => Err(Error::KeyFormat(format!("the JWK has no member `{name}`"))),
            Some(None) => Err(Error::KeyFormat(format!("member `{name}` is not a string"))),
            Some(Some(value)) => Ok(value),
        }
    }

    fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>> {
        URL_SAFE_NO_PAD
            .decode(self.text(name)?)
            .map(Zeroizing::new)
            .map_err(|_| {
                Error::KeyFormat(format!("member `{name}` is not base64url without padding"))
            })
    }

    fn optional_bytes(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>> {
        if self.has(name) {
            self.bytes(name).map(Some)
        } else {
            Ok(None)
        }
    }
}

struct JwkVisitor;

impl<'de> Visitor<'de> for JwkVisitor {
    type Value = Jwk;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JWK")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<Jwk, A::Error> {
        let mut jwk = Jwk::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = match map.next_value::<Member>()? {
                Member::Text(text) => Some(text),
                Member::Other => None,
            };
            jwk.insert(&name, value.as_ref().map(|text| text.as_str()))
                .map_err(A::Error::custom)?;
        }
        Ok(jwk)
    }
}

/// A member's value: text, or something that cannot be a key parameter.
enum Member {
    Text(Zeroizing<String>),
    Other,
}

impl<'de> serde::Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_any(MemberVisitor)
    }
}

struct MemberVisitor;

impl<'de> Visitor<'de> for MemberVisitor {
    type Value = Member;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_str<E>(self, text: &str) -> std::result::Result<Member, E> {
        Ok(Member::Text(Zeroizing::new(text.to_owned())))
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_unit<E>(self) -> std::result::Result<Member, E> {
        Ok(Member::Other)
    }

    fn visit_seq<A: serde::de::SeqAccess<'de>>(
        self,
        mut items: A,
    ) -> std::result::Result<Member, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut items: A) -> std::result::Result<Member, A::Error> {
        while items.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Member::Other)
    }
}

/// Reads the key of a JWK. Members that are not key parameters are ignored (RFC 7517 section 4).
pub(super) fn read(jwk: &Jwk) -> Result<Material> {
    if jwk.has("crit") {
        return Err(Error::KeyFormat(
            "the JWK has critical extensions, none of which is known".to_owned(),
        ));
    }
    let kty = jwk.text("kty")?;
    let own: &[&str] = match kty {
        "AKP" => &["pub", "priv"],
        "EC" => &["crv", "x", "y", "d"],
        "oct" => &["k"],
        "OKP" => &["crv", "x", "d"],
        "RSA" => &["n", "e", "d", "p", "q", "dp", "dq", "qi"],
        _ => return Err(unknown_type(kty)),
    };
    if let Some(stray) = PARAMETERS
        .iter()
        .find(|name| jwk.has(name) && !own.contains(name))
    {
        return Err(Error::KeyFormat(format!(
            "member `{stray}` does not belong to a key of type {kty}"
        )));
    }
    match kty {
        "AKP" => read_akp(jwk),
        "EC" => read_ec(jwk).map(Material::from),
        "oct" => OctKey::from_bytes(&jwk.bytes("k")?).map(Material::from),
        "OKP" => read_okp(jwk).map(Material::from),
        _ => read_rsa(jwk).map(Material::from),
    }
}

fn read_akp(jwk: &Jwk) -> Result<Material> {
    let name = jwk.text("alg")?;
    let (public, private) = (jwk.bytes("pub")?, jwk.optional_bytes("priv")?);
    if name == Algorithm::HybridWrap.name() {
        return match private {
            None => HybridKey::from_public(&public).map(Material::from),
            Some(_) => Err(Error::KeyFormat(format!(
                "a private key for {name} has no JWK form; open it from an envelope"
            ))),
        };
    }
    let set = MlDsa::parse(name)?;
    match private {
        None => MlDsaKey::from_public(set, &public),
        Some(seed) => MlDsaKey::from_seed(set, &seed, Some(&public)),
    }
    .map(Material::from)
}

fn read_ec(jwk: &Jwk) -> Result<EcKey> {
    let curve = Curve::parse(jwk.text("crv")?)?;
    let (x, y, d) = (jwk.bytes("x")?, jwk.bytes("y")?, jwk.optional_bytes("d")?);
    EcKey::from_coordinates(curve, &x, &y, d.as_ref().map(|d| d.as_slice()))
}

fn read_okp(jwk: &Jwk) -> Result<OkpKey> {
    let curve = OkpCurve::parse(jwk.text("crv")?)?;
    let x = jwk.bytes("x")?;
    match jwk.optional_bytes("d")? {
        None => OkpKey::from_public(curve, &x),
        Some(d) => OkpKey::from_seed(curve, &d, Some(&x)),
    }
}

fn read_rsa(jwk: &Jwk) -> Result<RsaKey> {
    let (modulus, exponent) = (jwk.bytes("n")?, jwk.bytes("e")?);
    if !RSA_PRIVATE.iter().any(|name| jwk.has(name)) {
        return RsaKey::from_public(&modulus, &exponent);
    }
    if let Some(missing) = RSA_PRIVATE.iter().find(|name| !jwk.has(name)) {
        return Err(Error::KeyFormat(format!(
            "the JWK has no member `{missing}`; an RSA private key needs d, p, q, dp, dq and qi"
        )));
    }
    RsaKey::from_components(
        &modulus,
        &exponent,
        &PrivateComponents {
            d: jwk.bytes("d")?,
            p: jwk.bytes("p")?,
            q: jwk.bytes("q")?,
            dp: jwk.bytes("dp")?,
            dq: jwk.bytes("dq")?,
            qi: jwk.bytes("qi")?,
        },
    )
}

/// The members of the public JWK; of a symmetric key, only its type.
pub(super) fn public(material: &Material) -> Result<Vec<(&'static str, String)>> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    Ok(match material {
        Material::Ec(key) => {
            let (x, y) = key.coordinates()?;
            vec![
                ("kty", "EC".to_owned()),
                ("crv", key.curve().name().to_owned()),
                ("x", encode(x)),
                ("y", encode(y)),
            ]
        }
        Material::Hybrid(key) => akp(Algorithm::HybridWrap, encode(key.public())),
        Material::MlDsa(key) => akp(Algorithm::MlDsa(key.set()), encode(key.public())),
        Material::Oct(_) => vec![("kty", "oct".to_owned())],
        Material::Okp(key) => vec![
            ("kty", "OKP".to_owned()),
            ("crv", key.curve().name().to_owned()),
            ("x", encode(key.public())),
        ],
        Material::Rsa(key) => vec![
            ("kty", "RSA".to_owned()),
            ("n", encode(key.modulus())),
            ("e", encode(key.exponent())),
        ],
    })
}

fn akp(algorithm: Algorithm, public: String) -> Vec<(&'static str, String)> {
    vec![
        ("kty", "AKP".to_owned()),
        ("alg", algorithm.name().to_owned()),
        ("pub", public),
    ]
}

/// The members of the private JWK.
pub(super) fn private(material: &Material) -> Result<Vec<(&'static str, Zeroizing<String>)>> {
    let encode = |bytes: &[u8]| Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes));
    let mut members: Vec<(&'static str, Zeroizing<String>)> = public(material)?
        .into_iter()
        .map(|(name, value)| (name, Zeroizing::new(value)))
        .collect();
    match material {
        Material::Ec(key) => members.push(("d", encode(&key.scalar()?))),
        Material::Hybrid(_) => return Err(super::sealed_only()),
        Material::MlDsa(key) => members.push(("priv", encode(key.seed()?))),
        Material::Oct(key) => members.push(("k", encode(key.value()))),
        Material::Okp(key) => members.push(("d", encode(&key.seed()?))),
        Material::Rsa(key) => {
            let document = key.private_pkcs8()?;
            let key = pkcs8::PrivateKeyInfoRef::try_from(document.as_ref())
                .map_err(|_| Error::Backend)?;
            let key = pkcs1::RsaPrivateKeyRef::from_der(key.private_key.as_bytes())
                .map_err(|_| Error::Backend)?;
            members.extend([
                ("d", encode(key.private_exponent.as_bytes())),
                ("p", encode(key.prime1.as_bytes())),
                ("q", encode(key.prime2.as_bytes())),
                ("dp", encode(key.exponent1.as_bytes())),
                ("dq", encode(key.exponent2.as_bytes())),
                ("qi", encode(key.coefficient.as_bytes())),
            ]);
        }
    }
    Ok(members)
}

/// The members that are key parameters of some type: each is an error in a key of another type.
const PARAMETERS: &[&str] = &[
    "crv", "d", "dp", "dq", "e", "k", "n", "oth", "p", "priv", "pub", "q", "qi", "x", "y",
];
const RSA_PRIVATE: &[&str] = &["d", "p", "q", "dp", "dq", "qi"];
