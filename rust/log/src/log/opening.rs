//! Opening a log: where it is followed forward from.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use vaultcore_core::audit::{Line, Position};

use super::Log;
use crate::failure::{Failure, Result};
use crate::place::{segment_name, Identity, Place};
use crate::reserve::Reserve;
use crate::segment::{find, first, Reach};
use crate::trust::Trust;

/// A signed record: where the log is believed from.
#[derive(Debug, Clone, Copy)]
pub struct Signed {
    /// The record.
    pub position: Position,
    /// Where it ends in its segment, if that is known.
    pub end: Option<u64>,
    /// The highest revision of the store that a record up to it told of.
    pub revision: u64,
}

impl Log {
    /// Opens the log, and follows it forward from the last signed record.
    pub(crate) fn open(
        directory: PathBuf,
        segment_size: u64,
        trust: Trust,
        signed: Option<&Signed>,
    ) -> Result<Self> {
        let mut place = Place::open(directory)?;
        let (file, identity, reach) = loop {
            let closed = place.closed()?;
            let found = begin(&mut place, &closed, signed);
            // Others may have closed segments while we looked for the right one.
            if place.closed()? == closed {
                break found?;
            }
        };
        let mut log = Self {
            asides: Vec::new(),
            end: 0,
            file,
            fresh: false,
            identity,
            line: Line::default(),
            place,
            reach,
            reserve: Reserve::default(),
            segment_size,
            suspect: false,
            synced: 0,
            trust,
        };
        let held = log.enter(true, true)?;
        log.reserve.renew(&log.file, log.reach.size);
        drop(held);
        Ok(log)
    }
}

/// Finds the segment in which the last signed record lies, or the first one of all.
fn begin(
    place: &mut Place,
    closed: &[u64],
    signed: Option<&Signed>,
) -> Result<(Arc<File>, Identity, Reach)> {
    let wanted = signed.map_or(0, |signed| signed.position.sequence);
    let segment = closed.iter().find(|&&last| last >= wanted);
    let (file, identity) = match segment {
        Some(&last) => place.open_closed(last)?,
        None => place.open_current()?,
    };
    let mut reach = Reach::default();
    if let Some(signed) = signed {
        let found = find(&file, signed.position, signed.end)?;
        reach = found.ok_or_else(|| {
            Failure::Broken(format!(
                "record {wanted} was signed, and is not there: the log was changed, cut or put \
                 back, or `{}` is none of its segments; verify it, and see `vaultcore audit \
                 reconcile`",
                segment_name(segment.copied())
            ))
        })?;
        reach.revision = reach.revision.max(signed.revision);
    } else if let Some(entry) = first(&file)? {
        // What came before was given up when its retention had passed.
        reach.position.head = entry.previous;
        reach.position.sequence = entry.position.sequence.saturating_sub(1);
    } else if let Some(&last) = closed.last() {
        return Err(Failure::Broken(format!(
            "its closed segment {last} begins with no record"
        )));
    }
    Ok((file, identity, reach))
}
