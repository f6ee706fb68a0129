use super::*;
use crate::policy::{Permission, Permissions};

fn verb(method: &str, path: &str) -> Result<Verb, u16> {
    parse(method, path.as_bytes(), b"api-version=2026-07-01-preview")
        .map(|operation| operation.verb)
        .map_err(|refusal| refusal.status)
}

#[test]
fn literals_win_over_names_and_versions() {
    assert_eq!(verb("POST", "/secrets/restore"), Ok(Verb::SecretRestore));
    assert_eq!(verb("GET", "/secrets/restore"), Ok(Verb::SecretGet));
    assert_eq!(
        verb("GET", "/secrets/a/versions"),
        Ok(Verb::SecretListVersions)
    );
    assert_eq!(
        verb("GET", "/certificates/Contacts"),
        Ok(Verb::CertificateContactsGet)
    );
    assert_eq!(verb("GET", "/secrets/a/backup"), Err(405));
}

#[test]
fn empty_segments_are_the_current_version_or_nothing() {
    assert_eq!(verb("GET", "/keys/a/"), Ok(Verb::KeyGet));
    assert_eq!(verb("POST", "/keys/a//sign"), Ok(Verb::KeySign));
    assert_eq!(verb("GET", "//keys/a"), Ok(Verb::KeyGet));
    assert_eq!(verb("GET", "/keys/a//"), Err(404));
    assert_eq!(verb("GET", "/keys//versions"), Err(400));
    assert_eq!(verb("GET", "///keys"), Err(404));
}

#[test]
fn every_verb_needs_a_permission_and_bears_its_own_name() {
    for &verb in Verb::EVERY {
        assert!(verb.any_of() != Permissions::NONE, "{verb:?}");
        assert_eq!(Verb::named(verb.name()), Some(verb));
        assert_eq!(
            verb.since().is_none(),
            verb.since().and_then(rank).is_none()
        );
    }
}

#[test]
fn routes_name_an_object_where_their_verb_is_about_one() {
    for (method, path) in [
        ("GET", "/secrets"),
        ("POST", "/secrets/restore"),
        ("GET", "/deletedkeys"),
        ("POST", "/rng"),
        ("PUT", "/certificates/contacts"),
        ("GET", "/certificates/issuers"),
        ("GET", "/certificates/issuers/own"),
        ("GET", "/secrets/a"),
        ("POST", "/keys/a/sign"),
        ("DELETE", "/deletedcertificates/a"),
    ] {
        let found = parse(method, path.as_bytes(), b"api-version=2026-04-01");
        assert!(
            found.is_ok_and(|found| found.object.is_some() == found.verb.is_about_an_object()),
            "{path}"
        );
    }
}

#[test]
fn names_are_understood_in_process_as_in_a_path() {
    let version = "0123456789ABCDEF0123456789ABCDEF";
    let named = named(Verb::SecretGet, b"Db", version.as_bytes());
    let parsed = parse(
        "GET",
        format!("/secrets/Db/{version}").as_bytes(),
        b"api-version=7.4",
    );
    assert_eq!(
        named.map(|found| (found.object, found.version)),
        parsed.map(|found| (found.object, found.version))
    );
    for name in [b"" as &[u8], b"../x", b"a/b"] {
        let refusal = super::named(Verb::SecretGet, name, b"").err();
        assert_eq!(
            refusal.map(|refusal| (refusal.status, refusal.verb)),
            Some((400, Some(Verb::SecretGet)))
        );
    }
}

#[test]
fn a_second_permission_is_missed_only_after_the_first() {
    let verb = Verb::KeyEncryptionKeyGet;
    let wrap = Permissions::of(Permission::KeysWrapKey);
    let both = wrap.union(Permissions::of(Permission::KeysUnwrapKey));
    assert_eq!(
        verb.missing(Permissions::NONE),
        Some(Permission::KeysWrapKey)
    );
    assert_eq!(verb.missing(wrap), Some(Permission::KeysUnwrapKey));
    assert_eq!(verb.missing(both), None);
}

#[test]
fn any_bytes_at_all_are_parsed_or_refused() {
    // A small generator, so that the test is the same every time.
    let mut state = 1_u64;
    for _ in 0..if cfg!(miri) { 200 } else { 20_000 } {
        let mut bytes = Vec::new();
        for _ in 0..24 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let choice = b"/keys%a?=&.\\\0\xffPOST-_~;+" as &[u8];
            let index = usize::try_from(state >> 33).unwrap_or(0) % choice.len();
            bytes.extend(choice.get(index));
        }
        let (path, query) = bytes.split_at(12);
        if let Err(refusal) = parse("GET", path, query) {
            assert!(matches!(refusal.status, 400 | 404 | 405));
        }
    }
}
