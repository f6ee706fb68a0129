//! The one way out of the interpreter lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::LazyLock;
use std::time::Instant;

use pyo3::Python;

/// The duration of work, in nanoseconds as estimated by the caller, from which a release pays.
const WORTH_RELEASING: u64 = 20_000;

/// For how long, in nanoseconds, the lock is expected back from a thread that came from here.
const SOON: u64 = 20_000;

/// When a thread took the lock back here, in nanoseconds since [`START`]; 0 once it has left again.
static TAKEN: AtomicU64 = AtomicU64::new(0);

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Runs `work`, without the interpreter lock if it is expected to take long enough.
///
/// What `work` captures must be immutable or owned: Python runs meanwhile.
pub(crate) fn leave<T: Send>(
    py: Python<'_>,
    estimate_ns: u64,
    work: impl FnOnce() -> T + Send,
) -> T {
    if estimate_ns < WORTH_RELEASING {
        return work();
    }
    let done = py.detach(|| {
        TAKEN.store(0, Ordering::Relaxed);
        let done = work();
        await_lock();
        done
    });
    TAKEN.store(now(), Ordering::Relaxed);
    done
}

/// Lets a thread that has just come back from its own work leave again.
///
/// Between two batches a thread holds the lock for some microseconds. The interpreter puts a thread
/// that requests it in that time to sleep, and wakes it much later. So this requests it a little
/// later; it only affects speed, and does not wait for anything that may not come.
fn await_lock() {
    loop {
        let taken = TAKEN.load(Ordering::Relaxed);
        if taken == 0 || now().saturating_sub(taken) > SOON {
            return;
        }
        std::hint::spin_loop();
    }
}

fn now() -> u64 {
    // At the start of the process it is 0, which only means that no thread waits.
    u64::try_from(START.elapsed().as_nanos()).unwrap_or_default()
}
