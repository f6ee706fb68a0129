//! Whose records are believed.

use vaultcore_core::audit::{MacKey, REPAIRED};
use vaultcore_log::{AuditLog, Failure, Known, Trust};

use crate::folder::{append, Folder, LARGE};
use crate::tester::Tester;

fn keys(bytes: &[(u8, Option<u64>)]) -> Vec<Known> {
    bytes
        .iter()
        .map(|&(byte, until)| Known {
            key: MacKey::new(&[byte; 32]),
            until,
        })
        .collect()
}

fn open(folder: &Folder, keys: Vec<Known>, distrust: bool) -> Result<AuditLog, Failure> {
    let trust = Trust {
        keys,
        distrust,
        unkeyed: 0,
    };
    AuditLog::open(&Tester::default(), folder.audit(), LARGE, trust, None)
}

#[test]
fn a_record_by_an_unknown_key_is_an_error_and_put_aside_when_it_is_distrusted() {
    let folder = Folder::new();
    append(&open(&folder, keys(&[(1, None)]), false).unwrap()).unwrap();
    let refused = open(&folder, keys(&[(2, None)]), false).unwrap_err();
    assert!(matches!(refused, Failure::Foreign), "{refused}");
    let log = open(&folder, keys(&[(2, None)]), true).unwrap();
    assert_eq!(append(&log).unwrap(), 2);
    let operations: Vec<_> = folder.chain().into_iter().map(|record| record.1).collect();
    assert_eq!(operations, [REPAIRED, "SecretGet"]);
}

#[test]
fn a_record_without_a_mac_is_put_aside_where_there_are_keys() {
    let folder = Folder::new();
    append(&folder.open(LARGE)).unwrap();
    let log = open(&folder, keys(&[(1, None)]), false).unwrap();
    assert_eq!(append(&log).unwrap(), 2);
    assert!(folder.chain().iter().all(|(entry, _)| entry.mac.is_some()));
}

#[test]
fn keys_change_under_an_open_log() {
    let folder = Folder::new();
    let (old, new) = (
        open(&folder, keys(&[(1, None)]), false).unwrap(),
        open(&folder, keys(&[(1, None)]), false).unwrap(),
    );
    append(&old).unwrap();
    new.set_keys(keys(&[(2, None), (1, Some(1))]));
    append(&new).unwrap();
    let refused = append(&old).unwrap_err();
    assert!(matches!(refused, Failure::Foreign), "{refused}");
    old.set_keys(keys(&[(2, None), (1, Some(1))]));
    assert_eq!(append(&old).unwrap(), 3);
    // A key that was retired made nothing after its last record.
    let late = open(
        &folder,
        keys(&[(3, None), (2, Some(2)), (1, Some(1))]),
        false,
    )
    .unwrap_err();
    assert!(matches!(late, Failure::Foreign), "{late}");
}

#[test]
fn documents_are_tagged_by_the_key_in_use_and_known_by_those_before() {
    let folder = Folder::new();
    let log = open(&folder, keys(&[(1, None)]), false).unwrap();
    let tag = log.tag(b"document").unwrap();
    assert!(log.tagged(b"document", &tag, 1));
    assert!(!log.tagged(b"other", &tag, 1));
    log.set_keys(keys(&[(2, None), (1, Some(9))]));
    assert!(!log.tagged(b"document", &tag, 1));
    assert!(log.tagged(b"document", &tag, 2));
    log.set_keys(Vec::new());
    let refused = log.tag(b"document").unwrap_err();
    assert!(matches!(refused, Failure::Unkeyed), "{refused}");
}

#[test]
fn a_record_is_known_by_its_mac() {
    let folder = Folder::new();
    let log = open(&folder, keys(&[(1, None)]), false).unwrap();
    append(&log).unwrap();
    for (entry, _) in folder.chain() {
        assert!(log.made(entry.position, entry.mac.as_ref()));
        assert!(!log.made(entry.position, Some(&[0; 16])));
        assert!(!log.made(entry.position, None));
    }
}
