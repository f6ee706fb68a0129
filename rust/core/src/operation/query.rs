//! The parameters of a query.

use super::{rank, Refusal, API_VERSIONS, LATEST, MAX_RESULTS};

/// The longest accepted query.
const MAX_QUERY: usize = 4096;
/// The most parameters in a query.
const MAX_PARAMETERS: usize = 32;
/// The longest value of a parameter that is passed on.
const MAX_VALUE: usize = 2048;

/// The parameters of a query that are known here.
pub(super) struct Parameters {
    pub(super) api_version: &'static str,
    pub(super) extra: Vec<(&'static str, String)>,
    pub(super) max_results: Option<u8>,
    pub(super) skip_token: String,
}

/// Parameters that are passed on unchanged.
const EXTRA: &[&str] = &["includePending", "outContentType", "request_id"];

impl Parameters {
    pub(super) fn parse(query: &[u8]) -> Result<Self, Refusal> {
        if query.len() > MAX_QUERY {
            return Err(Refusal::bad_parameter(
                "the query is longer than any query needs to be",
            ));
        }
        let mut api_version = None;
        let mut max_results = None;
        let mut skip_token = None;
        let mut extra: Vec<(&'static str, String)> = Vec::new();
        for (index, pair) in query.split(|&byte| byte == b'&').enumerate() {
            if index >= MAX_PARAMETERS {
                return Err(Refusal::bad_parameter("the query has too many parameters"));
            }
            let mut halves = pair.splitn(2, |&byte| byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = halves.next().unwrap_or_default();
            if name.eq_ignore_ascii_case("api-version") {
                once(&mut api_version, known_version(&decode(value)?)?)?;
            } else if name.eq_ignore_ascii_case("maxresults") {
                once(&mut max_results, page_size(&decode(value)?)?)?;
            } else if name.eq_ignore_ascii_case("$skiptoken") {
                once(&mut skip_token, token(decode(value)?)?)?;
            } else if let Some(known) = EXTRA.iter().find(|known| known.eq_ignore_ascii_case(&name))
            {
                if extra.iter().any(|(name, _)| name == known) {
                    return Err(twice());
                }
                extra.push((known, short(decode(value)?)?));
            }
        }
        let Some(api_version) = api_version else {
            return Err(Refusal::bad_parameter("api-version must be specified"));
        };
        Ok(Self {
            api_version,
            extra,
            max_results,
            skip_token: skip_token.unwrap_or_default(),
        })
    }
}

fn once<T>(slot: &mut Option<T>, value: T) -> Result<(), Refusal> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(twice()),
    }
}

fn twice() -> Refusal {
    Refusal::bad_parameter("a parameter of the query is given twice")
}

fn known_version(text: &str) -> Result<&'static str, Refusal> {
    if text.is_empty() {
        return Err(Refusal::bad_parameter("api-version must be specified"));
    }
    rank(text)
        .and_then(|rank| API_VERSIONS.get(rank))
        .copied()
        .ok_or_else(|| {
            Refusal::bad_parameter(&format!(
                "the api-version is not known; the latest stable one is {LATEST}"
            ))
        })
}

fn page_size(text: &str) -> Result<u8, Refusal> {
    let size = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()
    } else {
        None
    };
    size.filter(|size| (1..=MAX_RESULTS).contains(size))
        .ok_or_else(|| {
            let message = format!("maxresults must be a number from 1 to {MAX_RESULTS}");
            Refusal::bad_parameter(&message)
        })
}

fn token(text: String) -> Result<String, Refusal> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.~-".contains(&byte);
    if text.len() <= MAX_VALUE && text.bytes().all(fits) {
        Ok(text)
    } else {
        Err(Refusal::bad_parameter(
            "$skiptoken is not one that a listing returned",
        ))
    }
}

fn short(text: String) -> Result<String, Refusal> {
    if text.len() <= MAX_VALUE {
        Ok(text)
    } else {
        Err(Refusal::bad_parameter(
            "a parameter of the query is too long",
        ))
    }
}

/// Decodes one name or value of a query (WHATWG URL, application/x-www-form-urlencoded).
fn decode(raw: &[u8]) -> Result<String, Refusal> {
    let malformed = || Refusal::bad_parameter("the query is not well formed");
    let mut decoded = Vec::with_capacity(raw.len());
    let mut rest = raw.iter();
    while let Some(&byte) = rest.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let high = rest.next().copied().and_then(digit).ok_or_else(malformed)?;
                let low = rest.next().copied().and_then(digit).ok_or_else(malformed)?;
                high << 4 | low
            }
            plain => plain,
        });
    }
    String::from_utf8(decoded).map_err(|_| malformed())
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}
