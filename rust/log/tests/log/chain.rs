//! What an append does: one record, chained, or nothing.

use std::fs;

use vaultcore_core::audit::{Position, Record, REPAIRED};
use vaultcore_log::{AuditLog, Failure, Signed, Trust};

use crate::folder::{append, record, Folder, LARGE};
use crate::tester::Tester;

#[test]
fn records_are_numbered_and_chained_and_another_opener_goes_on() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    for number in 1..=3 {
        assert_eq!(append(&log).unwrap(), number);
    }
    let again = folder.open(LARGE);
    assert_eq!(again.reach().position, log.reach().position);
    assert_eq!(append(&again).unwrap(), 4);
    assert_eq!(folder.chain().len(), 4);
}

#[test]
fn a_record_has_the_time_of_the_caller_and_without_a_clock_nothing_is_written() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    let mut caller = Tester {
        now: Some(1_451_957_521.269_122),
        ..Tester::default()
    };
    log.append(&caller, record()).unwrap();
    let written = fs::read_to_string(folder.current()).unwrap();
    assert!(written.starts_with("{\"time\":\"2016-01-05T01:32:01.269122Z\""));
    caller.now = None;
    log.append(&caller, record()).unwrap_err();
    assert_eq!(fs::read_to_string(folder.current()).unwrap(), written);
}

#[test]
fn operations_of_the_log_itself_are_refused() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    let own = Record {
        operation: "AuditLogRotated",
        ..record()
    };
    let refused = log.append(&Tester::default(), own).unwrap_err();
    assert!(matches!(refused, Failure::Reserved), "{refused}");
    assert!(folder.chain().is_empty());
}

#[test]
fn the_highest_revision_is_known_again() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    for revision in [Some(3), Some(41), None, Some(40)] {
        let record = Record {
            revision,
            ..record()
        };
        log.append(&Tester::default(), record).unwrap();
    }
    assert_eq!(log.reach().revision, 41);
    assert_eq!(folder.open(LARGE).reach().revision, 41);
}

#[test]
fn a_failed_append_is_tried_again_as_long_as_the_caller_thinks_it_worth_it() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    append(&log).unwrap();
    let (current, elsewhere) = (folder.current(), folder.audit().join("elsewhere"));
    fs::rename(&current, &elsewhere).unwrap();
    let caller = Tester {
        again: Box::new(|attempt| {
            if attempt == 1 {
                fs::rename(&elsewhere, &current).unwrap();
            }
            true
        }),
        ..Tester::default()
    };
    assert_eq!(log.append(&caller, record()).unwrap(), 2);
    let attempts: Vec<_> = caller.asked.borrow().iter().map(|asked| asked.1).collect();
    assert_eq!(attempts, [0, 1]);
    assert_eq!(folder.chain().len(), 2);
}

#[test]
fn a_caller_that_never_gives_up_is_told_four_times() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    fs::remove_file(folder.current()).unwrap();
    let caller = Tester {
        again: Box::new(|_| true),
        ..Tester::default()
    };
    let failure = log.append(&caller, record()).unwrap_err().to_string();
    assert!(failure.contains("moved, removed or replaced"), "{failure}");
    let told: Vec<_> = (0..4).map(|attempt| (failure.clone(), attempt)).collect();
    assert_eq!(*caller.asked.borrow(), told);
}

#[test]
fn a_child_has_to_open_the_log_for_itself() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    append(&log).unwrap();
    let child = Tester {
        forks: 1,
        ..Tester::default()
    };
    for refused in [
        log.append(&child, record()).err(),
        log.require(&child).err(),
        log.sync(&child).err(),
        log.refresh(&child).err(),
        log.rotate(&child).err(),
    ] {
        assert!(matches!(refused, Some(Failure::Forked)), "{refused:?}");
    }
    assert_eq!(folder.chain().len(), 1);
    let audit = folder.audit();
    let own = AuditLog::open(&child, audit, LARGE, Trust::default(), None).unwrap();
    assert_eq!(own.append(&child, record()).unwrap(), 2);
}

#[test]
fn what_does_not_hold_at_the_end_is_put_aside_by_the_next_append() {
    for junk in [&b"{\"time\":\"20"[..], b"\n", &[0; 5000], b"{}\n{}\n"] {
        let folder = Folder::new();
        let log = folder.open(LARGE);
        append(&log).unwrap();
        folder.scribble(junk);
        assert_eq!(append(&log).unwrap(), 3);
        let operations: Vec<_> = folder.chain().into_iter().map(|record| record.1).collect();
        assert_eq!(operations, ["SecretGet", REPAIRED, "SecretGet"]);
        let kept = fs::read_dir(folder.audit())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| path.extension().is_some_and(|end| end == "bin"))
            .unwrap();
        assert_eq!(fs::read(kept).unwrap(), junk);
    }
}

#[test]
fn a_torn_record_is_put_aside_by_the_next_opener() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    for _ in 0..3 {
        append(&log).unwrap();
    }
    let whole = fs::read(folder.current()).unwrap();
    for cut in (1..200).step_by(9) {
        fs::write(folder.current(), whole.split_at(whole.len() - cut).0).unwrap();
        let again = folder.open(LARGE);
        assert_eq!(again.reach().position.sequence, 2);
        assert_eq!(append(&again).unwrap(), 4);
        assert_eq!(folder.chain().len(), 4);
    }
}

#[test]
fn a_log_that_became_shorter_is_not_gone_on_with() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    append(&log).unwrap();
    append(&log).unwrap();
    let whole = fs::read(folder.current()).unwrap();
    fs::write(folder.current(), whole.split_at(10).0).unwrap();
    let failure = append(&log).unwrap_err().to_string();
    assert!(failure.contains("became shorter"), "{failure}");
    assert_eq!(fs::read(folder.current()).unwrap(), whole.split_at(10).0);
}

#[test]
fn a_log_is_believed_from_its_last_signed_record() {
    let folder = Folder::new();
    let log = folder.open(600);
    for _ in 0..5 {
        append(&log).unwrap();
    }
    let reach = log.reach();
    let signed = |position, end| Signed {
        position,
        end,
        revision: 7,
    };
    let open = |signed: Signed| {
        let (caller, trust) = (Tester::default(), Trust::default());
        AuditLog::open(&caller, folder.audit(), 600, trust, Some(&signed))
    };
    // The place may be known, unknown or wrong; and the record may lie in a closed segment.
    for (entry, _) in folder.chain() {
        for end in [None, Some(1), Some(u64::MAX)] {
            let log = open(signed(entry.position, end)).unwrap();
            assert_eq!(log.reach().position, reach.position);
            assert_eq!(log.reach().revision, 7);
        }
    }
    let other = Position {
        head: [1; 32],
        sequence: 3,
    };
    let failure = open(signed(other, None)).unwrap_err().to_string();
    assert!(failure.contains("record 3 was signed"), "{failure}");
}
