//! Segments: closed when they are full, whatever stops in between.

use std::fs;
use std::os::unix::fs::MetadataExt;

use vaultcore_core::audit::ROTATED;
use vaultcore_log::Failure;

use crate::folder::{append, Folder, LARGE};
use crate::tester::Tester;

/// With this size, every record closes its segment.
const EACH: u64 = 1;

#[test]
fn a_full_segment_is_closed_and_the_chain_goes_on_in_the_next() {
    let folder = Folder::new();
    let log = folder.open(2000);
    while append(&log).unwrap() < 40 {}
    let records = folder.chain();
    let closing: Vec<_> = records
        .iter()
        .filter(|(entry, _)| entry.ends_segment)
        .collect();
    assert!(closing.len() > 5, "{}", closing.len());
    for (entry, operation) in closing {
        assert_eq!(operation, ROTATED);
        let closed = fs::read(folder.closed(entry.position.sequence)).unwrap();
        assert!(closed.len() > 2000);
    }
}

#[test]
fn a_closed_segment_gives_its_reserve_back() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    append(&log).unwrap();
    let reserved = fs::metadata(folder.current()).unwrap().blocks() * 512;
    log.rotate(&Tester::default()).unwrap();
    let left = fs::metadata(folder.closed(2)).unwrap().blocks() * 512;
    assert!(reserved >= 4 * 1024 * 1024, "{reserved}");
    assert!(left <= 64 * 1024, "{left}");
}

#[test]
fn a_segment_is_closed_on_demand_if_anything_is_in_it() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    log.rotate(&Tester::default()).unwrap();
    assert!(folder.chain().is_empty());
    append(&log).unwrap();
    log.rotate(&Tester::default()).unwrap();
    assert!(folder.closed(2).exists());
    assert_eq!(append(&log).unwrap(), 3);
    assert_eq!(folder.chain().len(), 3);
}

#[test]
fn a_roll_that_stopped_before_the_new_name_is_finished_by_the_next_append() {
    let folder = Folder::new();
    let running = folder.open(LARGE);
    append(&folder.open(EACH)).unwrap();
    // The last record is there, and nothing after it was done.
    fs::rename(folder.closed(2), folder.current()).unwrap();
    assert_eq!(append(&running).unwrap(), 3);
    assert!(folder.closed(2).exists());
    assert_eq!(folder.chain().len(), 3);
    // The same for one who opens the log then.
    running.rotate(&Tester::default()).unwrap();
    fs::rename(folder.closed(4), folder.current()).unwrap();
    assert_eq!(append(&folder.open(LARGE)).unwrap(), 5);
    assert!(folder.closed(4).exists());
    assert_eq!(folder.chain().len(), 5);
}

#[test]
fn a_roll_that_stopped_before_the_next_file_is_finished_by_the_next_append() {
    let folder = Folder::new();
    let running = folder.open(LARGE);
    append(&folder.open(EACH)).unwrap();
    fs::remove_file(folder.current()).unwrap();
    assert_eq!(append(&running).unwrap(), 3);
    running.rotate(&Tester::default()).unwrap();
    fs::remove_file(folder.current()).unwrap();
    assert_eq!(append(&folder.open(LARGE)).unwrap(), 5);
    assert_eq!(folder.chain().len(), 5);
}

#[test]
fn a_roll_whose_name_is_taken_replaces_nothing_and_waits() {
    let folder = Folder::new();
    let log = folder.open(EACH);
    fs::write(folder.closed(2), "somebody's").unwrap();
    // The record is written, so the append has succeeded.
    assert_eq!(append(&log).unwrap(), 1);
    for _ in 0..2 {
        let failure = append(&log).unwrap_err();
        assert!(matches!(failure, Failure::System { .. }), "{failure}");
        assert!(failure.to_string().contains("rename a segment of"));
    }
    assert_eq!(fs::read(folder.closed(2)).unwrap(), b"somebody's");
    fs::remove_file(folder.closed(2)).unwrap();
    assert_eq!(append(&log).unwrap(), 3);
    assert_eq!(folder.chain().len(), 4);
}

#[test]
fn what_stands_behind_a_closing_record_is_put_aside() {
    let folder = Folder::new();
    append(&folder.open(EACH)).unwrap();
    fs::rename(folder.closed(2), folder.current()).unwrap();
    folder.scribble(b"{}\n");
    assert_eq!(append(&folder.open(LARGE)).unwrap(), 4);
    assert_eq!(folder.chain().len(), 4);
}

#[test]
fn a_log_begins_where_its_retention_does() {
    let folder = Folder::new();
    let log = folder.open(EACH);
    for _ in 0..3 {
        append(&log).unwrap();
    }
    fs::remove_file(folder.closed(2)).unwrap();
    assert_eq!(append(&log).unwrap(), 7);
    assert_eq!(append(&folder.open(EACH)).unwrap(), 9);
}

#[test]
fn a_writer_that_was_left_behind_does_not_pass_over_a_segment() {
    let folder = Folder::new();
    let behind = folder.open(LARGE);
    let log = folder.open(EACH);
    for _ in 0..3 {
        append(&log).unwrap();
    }
    append(&folder.open(LARGE)).unwrap();
    let (closed, elsewhere) = (folder.closed(4), folder.path().join("elsewhere"));
    fs::rename(&closed, &elsewhere).unwrap();
    let failure = append(&behind).unwrap_err().to_string();
    assert!(
        failure.contains("segment that ends with record 4 is not there"),
        "{failure}"
    );
    fs::rename(&elsewhere, &closed).unwrap();
    assert_eq!(append(&behind).unwrap(), 8);
    assert_eq!(folder.chain().len(), 8);
}
