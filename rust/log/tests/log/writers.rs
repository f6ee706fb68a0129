//! Several writers on one folder. Two that opened it for themselves exclude each other as two
//! processes do: a lock belongs to the open file.

use std::collections::BTreeSet;
use std::fs::File;
use std::thread;
use std::time::Duration;

use crate::folder::{append, record, Folder, LARGE};
use crate::tester::Tester;

const EACH: u64 = 60;

#[test]
fn writers_take_turns_over_segments() {
    let folder = Folder::new();
    let (first, second) = (folder.open(1500), folder.open(1500));
    let mut last = 0;
    for _ in 0..50 {
        for log in [&first, &second] {
            let number = append(log).unwrap();
            assert!(number > last);
            last = number;
        }
    }
    let caller = Tester::default();
    let reach = first.refresh(&caller).unwrap();
    assert_eq!(reach.position, second.refresh(&caller).unwrap().position);
    assert_eq!(folder.chain().len() as u64, reach.position.sequence);
}

// With the smallest size every record closes a segment, so that those who wait are always too late.
#[test]
fn writers_at_once_make_one_chain() {
    for size in [1, 5000, LARGE] {
        let folder = Folder::new();
        let numbers: Vec<_> = thread::scope(|scope| {
            let writer = || {
                let log = folder.open(size);
                (0..EACH).map(|_| append(&log).unwrap()).collect::<Vec<_>>()
            };
            let writers: Vec<_> = (0..3).map(|_| scope.spawn(writer)).collect();
            writers
                .into_iter()
                .flat_map(|writer| writer.join().unwrap())
                .collect()
        });
        let different: BTreeSet<_> = numbers.iter().collect();
        assert_eq!(different.len() as u64, 3 * EACH);
        let records = folder.chain();
        let closing = records.iter().filter(|(entry, _)| entry.ends_segment);
        assert_eq!(records.len(), numbers.len() + closing.count());
    }
}

#[test]
fn threads_share_a_log() {
    let folder = Folder::new();
    let log = folder.open(5000);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    append(&log).unwrap();
                    log.sync(&Tester::default()).unwrap();
                }
            });
        }
    });
    let records = folder.chain();
    let closing = records.iter().filter(|(entry, _)| entry.ends_segment);
    assert_eq!(records.len() as u64 - closing.count() as u64, 3 * EACH);
}

#[test]
fn a_caller_waits_only_while_another_writer_holds_the_log() {
    let folder = Folder::new();
    let log = folder.open(LARGE);
    let caller = Tester::default();
    log.append(&caller, record()).unwrap();
    log.require(&caller).unwrap();
    assert_eq!(caller.waited.get(), 0);
    let other = File::open(folder.current()).unwrap();
    other.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(100));
            other.unlock().unwrap();
        });
        assert_eq!(log.append(&caller, record()).unwrap(), 2);
    });
    assert_eq!(caller.waited.get(), 1);
    assert_eq!(folder.chain().len(), 2);
}
