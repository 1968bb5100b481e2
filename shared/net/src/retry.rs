//! Waiting before trying again: exponential backoff with full jitter (Brooker, "Exponential Backoff
//! And Jitter", AWS Architecture Blog, 2015): the n-th wait is uniform between zero and
//! `min(longest, first * 2^n)`, so that forty sites don't come back in step after an outage.

use std::future::Future;
use std::time::Duration;

/// How patiently to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Upper bound of the first wait.
    pub first: Duration,
    /// Upper bound of every wait.
    pub longest: Duration,
    /// How often to try at all.
    pub attempts: Attempts,
}

/// How often to try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempts {
    /// Until it works: for links that come back sooner or later. Whoever waits bounds it from outside.
    Unlimited,
    /// This many times, the first included; at least one.
    AtMost(u32),
}

/// Says whether trying the same thing again can help.
pub trait Transient {
    /// Whether it can.
    fn is_transient(&self) -> bool;
}

/// One series of tries.
#[derive(Debug, Clone)]
pub struct Retry {
    policy: Policy,
    tried: u32,
    state: u64,
}

impl Policy {
    /// For links that drop: from half a second up to half a minute, for ever.
    pub const PATIENT: Policy = Policy {
        first: Duration::from_millis(500),
        longest: Duration::from_secs(30),
        attempts: Attempts::Unlimited,
    };
    /// For a person who waits at a prompt: four tries within a few seconds.
    pub const BRISK: Policy = Policy {
        first: Duration::from_millis(250),
        longest: Duration::from_secs(2),
        attempts: Attempts::AtMost(4),
    };
    /// One try.
    pub const NEVER: Policy =
        Policy { first: Duration::ZERO, longest: Duration::ZERO, attempts: Attempts::AtMost(1) };
}

impl Retry {
    /// A series whose waits nobody can foresee.
    pub fn new(policy: Policy) -> Self {
        let mut seed = [0; 8];
        // Jitter only spreads load: without randomness the waits still grow.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        Self::seeded(policy, u64::from_le_bytes(seed))
    }

    /// A series with the same waits for the same seed.
    pub fn seeded(policy: Policy, seed: u64) -> Self {
        Self { policy, tried: 0, state: seed }
    }

    /// How long to wait after a failed try; `None` when the tries are used up.
    pub fn next_delay(&mut self) -> Option<Duration> {
        self.tried = self.tried.saturating_add(1);
        if let Attempts::AtMost(most) = self.policy.attempts
            && self.tried >= most
        {
            return None;
        }
        Some(self.bound(self.tried - 1).mul_f64(self.uniform()))
    }

    /// Starts over after something worked.
    pub fn reset(&mut self) {
        self.tried = 0;
    }

    fn bound(&self, doublings: u32) -> Duration {
        let factor = 2u32.checked_pow(doublings).unwrap_or(u32::MAX);
        self.policy.first.saturating_mul(factor).min(self.policy.longest)
    }

    /// SplitMix64 (Steele, Lea and Flood 2014), scaled to [0, 1).
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Tries an action until it works, fails for good, or the tries are used up; the last error is
/// returned. Dropping the future stops it at any point.
///
/// # Errors
/// The first permanent error, or the last transient one.
pub async fn retrying<T, E, F>(policy: Policy, mut action: impl FnMut() -> F) -> Result<T, E>
where
    E: Transient + std::fmt::Display,
    F: Future<Output = Result<T, E>>,
{
    let mut retry = Retry::new(policy);
    loop {
        let error = match action().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if !error.is_transient() {
            return Err(error);
        }
        let Some(delay) = retry.next_delay() else { return Err(error) };
        tracing::debug!(%error, ?delay, "trying again");
        tokio::time::sleep(delay).await;
    }
}

/// A call fails transiently when the link or the other side's momentary state is the cause; a
/// refusal, a bad argument or a certificate problem stays.
impl Transient for tonic::Status {
    fn is_transient(&self) -> bool {
        use tonic::Code;
        if let Some(error) = crate::client::ConnectError::of_status(self) {
            return error.is_transient();
        }
        match self.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Aborted | Code::Cancelled => true,
            // tonic reports a cut HTTP/2 connection as one of these, with the cause attached.
            Code::Unknown | Code::Internal => std::error::Error::source(self).is_some(),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[derive(Debug, PartialEq, thiserror::Error)]
    #[error("transient: {0}")]
    struct Failure(bool);

    impl Transient for Failure {
        fn is_transient(&self) -> bool {
            self.0
        }
    }

    #[test]
    fn waits_stay_within_their_bounds_and_grow() {
        let policy = Policy {
            first: Duration::from_secs(1),
            longest: Duration::from_secs(10),
            attempts: Attempts::Unlimited,
        };
        let mut longest = [Duration::ZERO; 6];
        for seed in 0..200 {
            let mut retry = Retry::seeded(policy, seed);
            for (n, longest) in longest.iter_mut().enumerate() {
                let delay = retry.next_delay().unwrap();
                assert!(delay <= Duration::from_secs(1 << n).min(policy.longest));
                *longest = delay.max(*longest);
            }
        }
        assert!(longest[0] > Duration::from_millis(900));
        assert!(longest[3] > Duration::from_millis(7200));
        assert!(longest[5] > Duration::from_millis(9000));
        let mut retry = Retry::seeded(policy, 1);
        for _ in 0..10_000 {
            assert!(retry.next_delay().unwrap() <= policy.longest);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_waits() {
        let waits = |seed| {
            let mut retry = Retry::seeded(Policy::PATIENT, seed);
            (0..5).map(|_| retry.next_delay()).collect::<Vec<_>>()
        };
        assert_eq!(waits(7), waits(7));
        assert_ne!(waits(7), waits(8));
    }

    #[test]
    fn tries_run_out_and_come_back() {
        let mut retry = Retry::seeded(Policy::BRISK, 0);
        assert_eq!((0..5).filter(|_| retry.next_delay().is_some()).count(), 3);
        retry.reset();
        assert!(retry.next_delay().is_some());
        assert_eq!(Retry::seeded(Policy::NEVER, 0).next_delay(), None);
    }

    #[tokio::test]
    async fn only_transient_failures_are_tried_again() {
        let policy = Policy { attempts: Attempts::Unlimited, ..Policy::NEVER };
        let calls = Cell::new(0);
        let count = || calls.set(calls.get() + 1);
        let done = retrying(policy, || {
            count();
            std::future::ready(if calls.get() < 20 { Err(Failure(true)) } else { Ok(()) })
        });
        assert_eq!(done.await, Ok(()));
        assert_eq!(calls.replace(0), 20);
        let failed: Result<(), _> = retrying(policy, || {
            count();
            std::future::ready(Err(Failure(false)))
        })
        .await;
        assert_eq!((failed, calls.get()), (Err(Failure(false)), 1));
    }
}
