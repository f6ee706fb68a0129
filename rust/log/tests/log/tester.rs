//! A caller with answers prepared by a test, which notes what it was asked.

use std::cell::{Cell, RefCell};

use vaultcore_log::{Caller, Failure, Result};

/// A caller with prepared answers.
pub(crate) struct Tester<'a> {
    /// Decides whether to try again.
    pub(crate) again: Box<dyn Fn(u32) -> bool + 'a>,
    /// What it was told about failed appends: why, and how often it was tried again.
    pub(crate) asked: RefCell<Vec<(String, u32)>>,
    pub(crate) forks: u32,
    /// What the clock shows; none if there is none.
    pub(crate) now: Option<f64>,
    /// How often something may have had to wait.
    pub(crate) waited: Cell<u32>,
}

impl Default for Tester<'_> {
    fn default() -> Self {
        Self {
            again: Box::new(|_| false),
            asked: RefCell::default(),
            forks: 0,
            now: Some(1_700_000_000.5),
            waited: Cell::new(0),
        }
    }
}

impl Caller for Tester<'_> {
    type Error = Failure;

    fn now(&self) -> Result<f64> {
        self.now.ok_or(Failure::Broken("no clock".to_owned()))
    }

    fn forks(&self) -> u32 {
        self.forks
    }

    fn again(&self, error: &Failure, attempt: u32) -> Result<bool> {
        self.asked.borrow_mut().push((error.to_string(), attempt));
        Ok((self.again)(attempt))
    }

    fn error(&self, failure: Failure) -> Failure {
        failure
    }

    fn wait<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.waited.set(self.waited.get() + 1);
        work()
    }
}
