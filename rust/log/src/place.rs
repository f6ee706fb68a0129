//! The folder of the log: its files, found by descriptors and identified by their inodes.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{fstat, renameat, renameat_with, statat, AtFlags, RenameFlags};
use rustix::io::Errno;
use vaultcore_core::audit::Sha256;

use crate::failure::{doing, Failure, Result};
use crate::segment::{read_range, CHUNK};

/// The segment that is appended to.
const CURRENT: &str = "audit.jsonl";

/// The most bytes that are kept of an invalid end; a sparse file may claim any number.
pub const MAX_KEPT: u64 = 64 * 1024 * 1024;

/// For how long a folder must have had its time of change until that time can be relied on. Two
/// changes within one tick of the system's clock have the same time.
const SETTLED: Duration = Duration::from_millis(100);

/// The identity of a file, whatever its name.
pub(crate) type Identity = (u64, u64);

pub(crate) struct Place {
    directory: PathBuf,
    /// Where the current segment is, from `parent`.
    current: std::ffi::CString,
    folder: File,
    /// When the folder was last changed, as far as known; and since when that was known.
    seen: (i64, u64),
    settled: bool,
    since: Instant,
    /// Reserved for the moment when a segment is closed and no descriptor is left.
    spare: Option<File>,
    parent: File,
}

impl Place {
    pub(crate) fn open(directory: PathBuf) -> Result<Self> {
        let mut builder = DirBuilder::new();
        builder
            .recursive(true)
            .mode(0o700)
            .create(&directory)
            .or_else(doing("create"))?;
        let parent = match directory.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let name = directory
            .file_name()
            .map_or_else(OsString::new, OsString::from);
        let current = Path::new(&name).join(CURRENT);
        let current = std::ffi::CString::new(current.as_os_str().as_bytes())
            .map_err(io::Error::from)
            .or_else(doing("open"))?;
        let parent = File::open(parent).or_else(doing("open"))?;
        // The name of the folder itself must outlive the machine too.
        parent.sync_all().or_else(doing("sync the folder of"))?;
        Ok(Self {
            folder: File::open(&directory).or_else(doing("open"))?,
            directory,
            seen: (0, 0),
            settled: false,
            since: Instant::now(),
            current,
            spare: spare(),
            parent,
        })
    }

    /// Whether nothing was created, renamed or removed in the folder since the last check, and the
    /// folder itself was not moved. It costs a tenth of looking for the file by its name.
    ///
    /// The first check after a change returns false, and so do those at the same moment.
    pub(crate) fn unchanged(&mut self) -> Result<bool> {
        let found = fstat(&self.folder)
            .map_err(io::Error::from)
            .or_else(doing("look at"))?;
        let changed = (found.st_ctime, found.st_ctime_nsec);
        if changed != self.seen {
            (self.seen, self.settled, self.since) = (changed, false, Instant::now());
        } else if self.settled {
            return Ok(true);
        } else {
            self.settled = self.since.elapsed() >= SETTLED;
        }
        Ok(false)
    }

    /// Which file is the current segment, and how long it is; none if there is no such file.
    pub(crate) fn current(&self) -> Result<Option<(Identity, u64)>> {
        match statat(&self.parent, &*self.current, AtFlags::empty()) {
            Ok(found) => Ok(Some((
                (found.st_dev, found.st_ino),
                u64::try_from(found.st_size).unwrap_or_default(),
            ))),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => doing("look at")(error.into()),
        }
    }

    /// Opens the current segment, which is created if it does not exist.
    pub(crate) fn open_current(&mut self) -> Result<(Arc<File>, Identity)> {
        let path = self.directory.join(CURRENT);
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let file = match options.open(&path) {
            Err(error) if out_of_descriptors(&error) && self.spare.take().is_some() => {
                options.open(&path)
            }
            other => other,
        };
        if self.spare.is_none() {
            self.spare = spare();
        }
        let file = file.or_else(doing("open"))?;
        self.sync_folder()?;
        let identity = identity(&file)?;
        Ok((Arc::new(file), identity))
    }

    pub(crate) fn open_closed(&self, last: u64) -> Result<(Arc<File>, Identity)> {
        let mut options = OpenOptions::new();
        options.read(true).append(true);
        let file = options
            .open(self.directory.join(closed_name(last)))
            .or_else(doing("open"))?;
        let identity = identity(&file)?;
        Ok((Arc::new(file), identity))
    }

    /// A descriptor that writes at any place of the current segment, where others only append.
    pub(crate) fn open_for_rewriting(&self) -> Result<File> {
        OpenOptions::new()
            .write(true)
            .open(self.directory.join(CURRENT))
            .or_else(doing("open"))
    }

    /// The numbers in the names of the closed segments, in order.
    pub(crate) fn closed(&self) -> Result<Vec<u64>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(&self.directory).or_else(doing("read"))? {
            let name = entry.or_else(doing("read"))?.file_name();
            let digits = name
                .to_str()
                .and_then(|name| name.strip_prefix("audit-"))
                .and_then(|rest| rest.strip_suffix(".jsonl"))
                .filter(|digits| digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit()));
            if let Some(Ok(number)) = digits.map(str::parse) {
                found.push(number);
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Whether a file is the closed segment that ends with a record.
    pub(crate) fn is_closed(&self, file: Identity, last: u64) -> Result<bool> {
        match std::fs::metadata(self.directory.join(closed_name(last))) {
            Ok(found) => Ok((found.dev(), found.ino()) == file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => doing("look at")(error),
        }
    }

    /// Gives the current segment the name of a closed one, and replaces nothing.
    pub(crate) fn close_current(&self, last: u64) -> Result<()> {
        let name = closed_name(last);
        let flags = RenameFlags::NOREPLACE;
        match renameat_with(&self.folder, CURRENT, &self.folder, &name, flags) {
            // On a file system without "replace nothing", check first.
            Err(Errno::INVAL | Errno::NOSYS) if !self.directory.join(&name).exists() => {
                renameat(&self.folder, CURRENT, &self.folder, &name)
            }
            other => other,
        }
        .map_err(io::Error::from)
        .or_else(doing("rename a segment of"))?;
        self.sync_folder()
    }

    /// Keeps a part of a segment in a file of its own; returns its name and SHA-256.
    ///
    /// The name contains both places, so repeating this after a crash creates the same file.
    pub(crate) fn keep(
        &self,
        sequence: u64,
        from: &File,
        start: u64,
        end: u64,
    ) -> Result<(String, String)> {
        let part = self.directory.join(format!("torn-{sequence:020}.part"));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut aside = options.open(&part).or_else(doing("keep the end of"))?;
        let mut hash = Sha256::default();
        let end = end.min(start + MAX_KEPT);
        let mut offset = start;
        while offset < end {
            let next = end.min(offset + CHUNK);
            let bytes = read_range(from, offset, next)?;
            aside.write_all(&bytes).or_else(doing("keep the end of"))?;
            hash.update(&bytes);
            offset = next;
        }
        aside.sync_all().or_else(doing("keep the end of"))?;
        let hash = hash.finish();
        let name = format!("torn-{sequence:020}-{}.bin", hash.get(..16).unwrap_or(""));
        std::fs::rename(&part, self.directory.join(&name)).or_else(doing("keep the end of"))?;
        self.sync_folder()?;
        Ok((name, hash))
    }

    fn sync_folder(&self) -> Result<()> {
        self.folder.sync_all().or_else(doing("sync the folder of"))
    }
}

pub(crate) fn identity(file: &File) -> Result<Identity> {
    let found = file.metadata().or_else(doing("look at"))?;
    Ok((found.dev(), found.ino()))
}

/// The error for a segment that is not in its place.
pub(crate) fn moved() -> Failure {
    Failure::Broken(
        "its file or folder was moved, removed or replaced: put it back, and the log continues; \
         what was moved on purpose is left to `vaultcore audit reconcile`"
            .to_owned(),
    )
}

/// The name of a closed segment, or of the current one.
pub(crate) fn segment_name(last: Option<u64>) -> String {
    last.map_or_else(|| CURRENT.to_owned(), closed_name)
}

fn closed_name(last: u64) -> String {
    format!("audit-{last:020}.jsonl")
}

fn spare() -> Option<File> {
    File::open("/dev/null").ok()
}

fn out_of_descriptors(error: &io::Error) -> bool {
    let code = error.raw_os_error();
    [Errno::MFILE, Errno::NFILE]
        .iter()
        .any(|known| code == Some(known.raw_os_error()))
}
