//! The one door out of the interpreter lock.

use pyo3::Python;

/// The work, in nanoseconds as estimated by the caller, from which releasing the lock pays.
const WORTH_RELEASING: u64 = 20_000;

/// Runs `work`, without the interpreter lock if it is expected to take long enough.
///
/// What `work` captures must be immutable or owned: Python runs meanwhile.
pub(crate) fn leave<T: Send>(
    py: Python<'_>,
    estimate_ns: u64,
    work: impl FnOnce() -> T + Send,
) -> T {
    if estimate_ns >= WORTH_RELEASING {
        py.detach(work)
    } else {
        work()
    }
}
