//! The place of the log: a file that is not in its place takes no records.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use vaultcore_log::AuditLog;

use crate::folder::{append, open, Folder, LARGE};
use crate::tester::Tester;

/// Longer than a folder must have been unchanged for its time to be relied on.
const SETTLED: Duration = Duration::from_millis(150);

/// Makes sure that a log misses its place.
fn misses(log: &AuditLog) {
    let caller = Tester::default();
    for failure in [
        append(log).err(),
        log.require(&caller).err(),
        log.sync(&caller).err(),
        log.refresh(&caller).err(),
    ] {
        let failure = failure.unwrap().to_string();
        assert!(failure.contains("moved, removed or replaced"), "{failure}");
    }
}

/// Moves something, and back.
fn moves_and_comes_back(folder: &Folder, from: &Path, to: &Path) {
    let log = folder.open(LARGE);
    for wait in [Duration::ZERO, SETTLED] {
        // With and without a look at the file by its name in the append before.
        for _ in 0..3 {
            append(&log).unwrap();
            sleep(wait);
        }
        let before = folder.chain().len();
        fs::rename(from, to).unwrap();
        misses(&log);
        fs::rename(to, from).unwrap();
        append(&log).unwrap();
        assert_eq!(folder.chain().len(), before + 1);
    }
}

#[test]
fn a_file_that_was_moved_is_missed_until_it_is_back() {
    let folder = Folder::new();
    let to = folder.audit().join("elsewhere");
    moves_and_comes_back(&folder, &folder.current(), &to);
    let folder = Folder::new();
    let to = folder.path().join("elsewhere");
    moves_and_comes_back(&folder, &folder.current(), &to);
}

#[test]
fn a_folder_that_was_moved_is_missed_until_it_is_back() {
    let folder = Folder::new();
    let to = folder.path().join("elsewhere");
    moves_and_comes_back(&folder, &folder.audit(), &to);
}

#[test]
fn a_file_that_was_removed_or_replaced_is_missed() {
    for replaced in [false, true] {
        for wait in [Duration::ZERO, SETTLED] {
            let folder = Folder::new();
            let log = folder.open(LARGE);
            append(&log).unwrap();
            sleep(wait);
            append(&log).unwrap();
            let bytes = fs::read(folder.current()).unwrap();
            fs::remove_file(folder.current()).unwrap();
            if replaced {
                fs::write(folder.current(), &bytes).unwrap();
            }
            misses(&log);
            if replaced {
                assert_eq!(fs::read(folder.current()).unwrap(), bytes);
            }
        }
    }
}

#[test]
fn a_folder_that_was_replaced_is_missed() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    append(&log).unwrap();
    fs::rename(folder.audit(), folder.path().join("elsewhere")).unwrap();
    let other = folder.open(LARGE);
    append(&other).unwrap();
    misses(&log);
    assert_eq!(folder.chain().len(), 1);
}

#[test]
fn files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    append(&folder.open(LARGE)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder.audit()), 0o700);
    assert_eq!(mode(&folder.current()), 0o600);
}

#[test]
fn a_folder_that_cannot_be_is_told() {
    let folder = Folder::new();
    fs::write(folder.audit(), "x").unwrap();
    for audit in [folder.audit(), folder.audit().join("under")] {
        let failure = open(&audit, LARGE).unwrap_err().to_string();
        assert!(
            failure.starts_with("cannot create the audit log: "),
            "{failure}"
        );
    }
}
