//! A few threads that start a piece of work together within a microsecond.
//!
//! A small network has a hundred layers of 50 microseconds: a pool whose workers go to sleep between two of them spends more time
//! waking than computing. Members of a team spin for a moment before they sleep. Whoever asks for work takes part in it, and when
//! the team is busy with someone else's, does it alone: there is one team, and it isn't nested.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;

/// Turns of the waiting loop before a member gives the processor away; about 30 microseconds.
const SPINS: usize = 2_000;

/// Times that a member gives the processor away before it sleeps.
const YIELDS: usize = 20;

/// Threads that work together.
#[derive(Debug)]
pub(crate) struct Team {
    shared: Arc<Shared>,
    /// Held while a piece of work is under way.
    busy: Mutex<()>,
    helpers: Vec<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    /// Number of the latest order; changed under the lock of `order`.
    number: AtomicUsize,
    order: Mutex<Order>,
    wake: Condvar,
    /// Helpers that haven't finished the latest order.
    unfinished: AtomicUsize,
    panicked: AtomicBool,
}

#[derive(Debug)]
struct Order {
    what: What,
    asleep: usize,
}

#[derive(Debug, Clone, Copy)]
enum What {
    Nothing,
    Work(Work),
    Leave,
}

/// A borrowed closure whose lifetime [`Team::broadcast`] enforces.
#[derive(Clone, Copy)]
struct Work(*const (dyn Fn(usize) + Sync));

// SAFETY: the closure is `Sync`, so several threads may call it through the pointer.
unsafe impl Send for Work {}

impl std::fmt::Debug for Work {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Work")
    }
}

impl Team {
    /// The process's own team: one member for each processor.
    pub(crate) fn shared() -> Arc<Self> {
        static TEAM: OnceLock<Arc<Team>> = OnceLock::new();
        let threads = || std::thread::available_parallelism().map_or(1, usize::from);
        Arc::clone(TEAM.get_or_init(|| Arc::new(Self::new(threads()))))
    }

    /// A team of `members`, the asking thread among them; fewer where the system gives no more threads.
    pub(crate) fn new(members: usize) -> Self {
        let shared = Arc::new(Shared {
            number: AtomicUsize::new(0),
            order: Mutex::new(Order { what: What::Nothing, asleep: 0 }),
            wake: Condvar::new(),
            unfinished: AtomicUsize::new(0),
            panicked: AtomicBool::new(false),
        });
        let helper = |member| {
            let shared = Arc::clone(&shared);
            let builder = std::thread::Builder::new().name(format!("vision-{member}"));
            builder.spawn(move || shared.serve(member)).ok()
        };
        let helpers = (1..members.max(1)).map_while(helper).collect();
        Self { shared, busy: Mutex::new(()), helpers }
    }

    /// Members, the asking thread among them.
    pub(crate) fn size(&self) -> usize {
        self.helpers.len() + 1
    }

    /// Shares `parts` out among the members, each of whom has a state of its own, and waits for all of them.
    ///
    /// # Panics
    /// If `work` does, or there are fewer states than members.
    pub(crate) fn each<S: Send, P: Send>(
        &self,
        states: &mut [S],
        parts: Vec<P>,
        work: impl Fn(&mut S, P) + Sync,
    ) {
        assert!(states.len() >= self.size(), "every member has a state");
        if parts.len() == 1 || self.helpers.is_empty() {
            parts.into_iter().for_each(|part| work(&mut states[0], part));
            return;
        }
        let states: Vec<Mutex<&mut S>> = states.iter_mut().map(Mutex::new).collect();
        let queue = Mutex::new(parts.into_iter());
        self.broadcast(&|member| {
            let mut state = locked(&states[member]);
            loop {
                let Some(part) = locked(&queue).next() else { return };
                work(&mut state, part);
            }
        });
    }

    /// Calls `work` with every member's number on that member, or, while the team is busy, with 0 on the asking thread alone.
    fn broadcast(&self, work: &(dyn Fn(usize) + Sync)) {
        let Ok(_busy) = self.busy.try_lock() else { return work(0) };
        let shared = &self.shared;
        // SAFETY: only the lifetime changes. Helpers use the pointer between here and their decrement of `unfinished`, and this
        // function doesn't leave, not even by a panic of `work`, before that is zero.
        let work_for_helpers: *const (dyn Fn(usize) + Sync) = unsafe {
            std::mem::transmute::<&(dyn Fn(usize) + Sync), *const (dyn Fn(usize) + Sync + 'static)>(
                work,
            )
        };
        shared.unfinished.store(self.helpers.len(), Ordering::Relaxed);
        shared.give(What::Work(Work(work_for_helpers)));
        let own = catch_unwind(AssertUnwindSafe(|| work(0)));
        wait(|| shared.unfinished.load(Ordering::Acquire) == 0);
        let theirs = shared.panicked.swap(false, Ordering::Relaxed);
        if let Err(panic) = own {
            resume_unwind(panic);
        }
        assert!(!theirs, "a member of the team panicked; its message is above");
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.give(What::Leave);
        for helper in self.helpers.drain(..) {
            // A helper catches the panics of its work, so it has nothing to tell.
            let _ = helper.join();
        }
    }
}

impl Shared {
    fn give(&self, what: What) {
        let mut order = locked(&self.order);
        order.what = what;
        self.number.fetch_add(1, Ordering::Release);
        let asleep = order.asleep;
        drop(order);
        if asleep > 0 {
            self.wake.notify_all();
        }
    }

    fn serve(&self, member: usize) {
        let mut seen = 0;
        loop {
            let what = self.next(&mut seen);
            match what {
                What::Nothing => {}
                What::Leave => return,
                What::Work(work) => {
                    // SAFETY: `broadcast` keeps the closure alive until `unfinished` is zero.
                    let call = AssertUnwindSafe(|| unsafe { (*work.0)(member) });
                    if catch_unwind(call).is_err() {
                        self.panicked.store(true, Ordering::Relaxed);
                    }
                    self.unfinished.fetch_sub(1, Ordering::Release);
                }
            }
        }
    }

    /// The next order after number `seen`.
    fn next(&self, seen: &mut usize) -> What {
        let last = *seen;
        let is_new = || self.number.load(Ordering::Acquire) != last;
        let mut turns = 0;
        while !is_new() && turns < SPINS + YIELDS {
            pause(&mut turns);
        }
        let mut order = locked(&self.order);
        order.asleep += 1;
        while !is_new() {
            order = self.wake.wait(order).unwrap_or_else(PoisonError::into_inner);
        }
        order.asleep -= 1;
        *seen = self.number.load(Ordering::Relaxed);
        order.what
    }
}

fn wait(done: impl Fn() -> bool) {
    let mut turns = 0;
    while !done() {
        pause(&mut turns);
    }
}

fn pause(turns: &mut usize) {
    if *turns < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
    *turns += 1;
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_by_someone() {
        for members in [1, 2, 3, 5] {
            let team = Team::new(members);
            let mut done = vec![Vec::new(); members];
            for round in 0..200 {
                team.each(&mut done, (0..round).collect(), |mine, part| mine.push(part));
                let mut all: Vec<usize> = done.iter_mut().flat_map(|mine| mine.drain(..)).collect();
                all.sort_unstable();
                assert_eq!(all, (0..round).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn a_team_asked_from_within_and_from_many_threads_still_does_everything() {
        let team = Team::new(2);
        let total = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    team.each(&mut [(); 2], vec![10; 10], |(), part: usize| {
                        team.each(&mut [(); 2], vec![1; part], |(), one| {
                            total.fetch_add(one, Ordering::Relaxed);
                        });
                    });
                });
            }
        });
        assert_eq!(total.into_inner(), 400);
    }

    #[test]
    fn a_panic_of_a_member_reaches_the_one_who_asked_and_the_team_lives_on() {
        let team = Team::new(3);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            team.each(&mut [(); 3], (0..50).collect(), |(), part| assert_ne!(part, 37));
        }));
        assert!(outcome.is_err());
        let sum = AtomicUsize::new(0);
        team.each(&mut [(); 3], (0..50).collect(), |(), part| {
            sum.fetch_add(part, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 1225);
    }
}
