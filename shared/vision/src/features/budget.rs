//! A bound on bytes that are in memory at once.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How often who waits looks whether it should stop.
const LOOK: Duration = Duration::from_millis(50);

/// Bytes that may be taken at once. More than all of them may be taken by one alone: else it would wait for ever.
#[derive(Debug)]
pub(super) struct Budget {
    limit: u64,
    taken: Mutex<u64>,
    freed: Condvar,
}

/// Bytes taken from a budget until this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    budget: &'a Budget,
    bytes: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Self {
        Self { limit, taken: Mutex::new(0), freed: Condvar::new() }
    }

    /// Waits for so many bytes; none when it is to stop before.
    pub(super) fn take(&self, bytes: u64, stopped: &dyn Fn() -> bool) -> Option<Taken<'_>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken > 0 && taken.saturating_add(bytes) > self.limit {
            if stopped() {
                return None;
            }
            let waited = self.freed.wait_timeout(taken, LOOK);
            taken = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = taken.saturating_add(bytes);
        Some(Taken { budget: self, bytes })
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut taken = self.budget.taken.lock().unwrap_or_else(PoisonError::into_inner);
        *taken = taken.saturating_sub(self.bytes);
        drop(taken);
        self.budget.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn no_more_is_taken_at_once_unless_by_one_alone() {
        let budget = Budget::new(10);
        let (now, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 1..=4u64 {
                let (budget, now, most) = (&budget, &now, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let taken = budget.take(thread, &|| false).unwrap();
                        most.fetch_max(
                            now.fetch_add(thread, Ordering::SeqCst) + thread,
                            Ordering::SeqCst,
                        );
                        now.fetch_sub(thread, Ordering::SeqCst);
                        drop(taken);
                    }
                });
            }
        });
        assert!(most.into_inner() <= 10);
        let large = budget.take(1000, &|| false).unwrap();
        assert!(budget.take(1, &|| true).is_none());
        drop(large);
        assert!(budget.take(1, &|| true).is_some());
    }
}
