//! What a disk that fills up does to the log.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, io};

use vaultcore_log::{AuditLog, Failure};

use crate::folder::{append, chain, open, Folder, LARGE};
use crate::tester::Tester;

/// Tells a process of this test which log to fill.
const FILL: &str = "VAULTCORE_LOG_FILL";

/// A limit on the size of files stands in for a disk that fills up in the middle of a write.
///
/// It holds for a whole process, so there is one for it: the same test once more, which finds the
/// log that it has to fill in its environment.
#[test]
fn what_cannot_be_written_whole_is_not_written() {
    if let Some(audit) = env::var_os(FILL) {
        return fill(&PathBuf::from(audit));
    }
    let folder = Folder::new();
    let limited = "trap '' XFSZ; ulimit -f 10; exec \"$0\" \"$@\"";
    let done = Command::new("sh")
        .args(["-c", limited])
        .arg(env::current_exe().unwrap())
        .args([
            "--exact",
            "space::what_cannot_be_written_whole_is_not_written",
        ])
        .env(FILL, folder.audit())
        .output()
        .unwrap();
    assert!(done.status.success(), "{done:?}");
    let written = folder.chain().len() as u64;
    assert!(written > 3, "{written}");
    // Nothing is left to repair.
    assert_eq!(append(&folder.open(LARGE)).unwrap(), written + 1);
}

fn fill(audit: &Path) {
    let log = open(audit, LARGE).unwrap();
    for _ in 0..2 {
        // A write that stops short; one that begins behind the limit would be told that it is.
        let failure = appended_until(&log, |_| false).unwrap();
        let kind = refused_by_the_system(&failure).map(io::Error::kind);
        assert_eq!(kind, Some(io::ErrorKind::StorageFull));
    }
    let found = fs::metadata(audit.join("audit.jsonl")).unwrap();
    assert_eq!(found.len(), log.reach().size);
}

#[test]
#[ignore = "mounts a file system, for which the Makefile has to make room"]
fn a_full_disk_refuses_and_the_log_goes_on_when_there_is_space() {
    let folder = Folder::new();
    let disk = Disk::mount(folder.path(), "64k");
    let audit = folder.path().join("disk/audit");
    let log = open(&audit, LARGE).unwrap();
    // There is not enough for a reserve from the beginning.
    assert!(log.is_short());
    let failure = log.require(&Tester::default()).unwrap_err().to_string();
    assert!(failure.contains("no space in reserve"), "{failure}");
    let failure = appended_until(&log, |_| false).unwrap();
    let kind = refused_by_the_system(&failure).map(io::Error::kind);
    assert_eq!(kind, Some(io::ErrorKind::StorageFull));
    append(&log).unwrap_err();
    let written = log.reach().position.sequence;
    assert!(written > 10, "{written}");
    assert_eq!(chain(&audit).len() as u64, written);
    disk.resize("16m");
    log.require(&Tester::default()).unwrap();
    assert!(!log.is_short());
    assert_eq!(append(&log).unwrap(), written + 1);
    assert_eq!(chain(&audit).len() as u64, written + 1);
}

#[test]
#[ignore = "mounts a file system, for which the Makefile has to make room"]
fn refusals_are_recorded_on_a_disk_that_others_have_filled() {
    let folder = Folder::new();
    let _disk = Disk::mount(folder.path(), "8m");
    let audit = folder.path().join("disk/audit");
    let log = open(&audit, LARGE).unwrap();
    append(&log).unwrap();
    log.require(&Tester::default()).unwrap();
    let mut others = File::create(folder.path().join("disk/others")).unwrap();
    let full = loop {
        if let Err(error) = others.write_all(&[1; 4096]) {
            break error;
        }
    };
    assert_eq!(full.kind(), io::ErrorKind::StorageFull);
    // What is in reserve is used up until too little is left: then nothing may be done any more.
    assert!(appended_until(&log, AuditLog::is_short).is_none());
    log.require(&Tester::default()).unwrap_err();
    let until = log.reach().size + 1_000_000;
    assert!(appended_until(&log, |log| log.reach().size > until).is_none());
    assert_eq!(chain(&audit).len() as u64, log.reach().position.sequence);
}

/// Appends until it is enough, or until it fails.
fn appended_until(log: &AuditLog, enough: impl Fn(&AuditLog) -> bool) -> Option<Failure> {
    while !enough(log) {
        if let Err(failure) = append(log) {
            return Some(failure);
        }
    }
    None
}

fn refused_by_the_system(failure: &Failure) -> Option<&io::Error> {
    match failure {
        Failure::System {
            doing: "append to",
            error,
        } => Some(error),
        _ => None,
    }
}

/// A small file system of its own.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path, size: &str) -> Self {
        let disk = folder.join("disk");
        fs::create_dir(&disk).unwrap();
        let disk = Self(disk);
        disk.set(&format!("size={size}"));
        disk
    }

    fn resize(&self, size: &str) {
        self.set(&format!("remount,size={size}"));
    }

    fn set(&self, options: &str) {
        // Told of its kind also for another size, `mount` takes no options over from the first time,
        // which name a user that does not exist where the test is its own root.
        let command = ["-t", "tmpfs", "-o", options, "tmpfs"];
        run(Command::new("mount").args(command).arg(&self.0));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // The log may still be open on it.
        run(Command::new("umount").arg("--lazy").arg(&self.0));
    }
}

fn run(command: &mut Command) {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{done:?}");
}
