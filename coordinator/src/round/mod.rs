//! A round asks one thing of the expected sites and ends when all of them answered, or when one is
//! given up.
//!
//! ```text
//!              Polled: hand out            Submitted by the last site
//! Collecting ───────────────▶ Collecting ───────────────────────────▶ Done
//!     │  lease over: hand out again                                     
//!     └─ no progress for `patience`, a site that can't answer, abort ──▶ Failed
//! ```
//!
//! It is a value: [`Round::step`] takes an event and the time and returns effects. No IO, no clock,
//! no async; the hub performs the effects and persists before it answers a site. Sites are handed
//! out a task under a lease with an attempt count; a site counts once however often it submits.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wardround_core::clock::Timestamp;
use wardround_core::ids::SiteId;

/// What happens to a site that shows no progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// It is waited for, for ever.
    Endless,
    /// It is given up after this long without a sign of it, in milliseconds.
    Limited {
        /// Milliseconds.
        ms: i64,
    },
}

/// One round.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Round {
    lease_ms: i64,
    patience: Patience,
    phase: Phase,
}

/// Where a round is. A variant holds only its own data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Phase {
    /// Sites are at work.
    Collecting {
        /// Every expected site.
        sites: BTreeMap<SiteId, Work>,
    },
    /// Every expected site answered; the answers are with the hub.
    Done,
    /// The round ended without an answer.
    Failed(Ending),
}

/// Where one site is in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// Not handed out, or its lease ran out.
    Waiting {
        /// How often it was handed out so far.
        attempts: u32,
        /// The last sign of the site.
        last_sign: Timestamp,
    },
    /// Handed out.
    Leased {
        /// Which hand-out this is, from 1.
        attempt: u32,
        /// When it is handed out again.
        until: Timestamp,
        /// The last sign of the site.
        last_sign: Timestamp,
    },
    /// Answered.
    Received,
}

/// Why a round ended without an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Ending {
    /// A site showed no progress for longer than the study waits.
    SiteLost {
        /// The site.
        site: SiteId,
    },
    /// A site said that it can't or won't answer.
    SiteFailed {
        /// The site.
        site: SiteId,
    },
    /// The study was aborted.
    Aborted,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A site asks for work and says whether it is still at this round's task.
    Polled {
        /// The site.
        site: SiteId,
        /// Whether it is still working on the task.
        working: bool,
    },
    /// A site reports progress.
    Progressed {
        /// The site.
        site: SiteId,
    },
    /// A site's answer is stored.
    Submitted {
        /// The site.
        site: SiteId,
    },
    /// A site says that it can't answer.
    SiteFailed {
        /// The site.
        site: SiteId,
    },
    /// Time passed.
    Tick,
    /// The study was aborted.
    Aborted,
}

/// What the hub has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Give the task to the site that polls.
    HandOut {
        /// The site.
        site: SiteId,
        /// Which hand-out this is, from 1.
        attempt: u32,
    },
    /// Count the site's answer in.
    Accept {
        /// The site.
        site: SiteId,
    },
    /// The round is over; its phase says how.
    Finish,
}

impl Round {
    /// Starts a round. `answered` are sites whose answer is already stored (after a restart).
    pub fn start(
        expected: impl IntoIterator<Item = SiteId>,
        answered: &[SiteId],
        lease_ms: i64,
        patience: Patience,
        now: Timestamp,
    ) -> Self {
        let work = |site: &SiteId| match answered.contains(site) {
            true => Work::Received,
            false => Work::Waiting { attempts: 0, last_sign: now },
        };
        let sites = expected.into_iter().map(|site| (site.clone(), work(&site))).collect();
        let mut round = Self { lease_ms, patience, phase: Phase::Collecting { sites } };
        round.finish_when_complete();
        round
    }

    /// Where it is.
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        !matches!(self.phase, Phase::Collecting { .. })
    }

    /// Sites whose answer is still missing, with the last sign of each.
    pub fn missing(&self) -> Vec<(SiteId, Timestamp)> {
        let Phase::Collecting { sites } = &self.phase else { return Vec::new() };
        sites
            .iter()
            .filter_map(|(site, work)| match work {
                Work::Waiting { last_sign, .. } | Work::Leased { last_sign, .. } => {
                    Some((site.clone(), *last_sign))
                }
                Work::Received => None,
            })
            .collect()
    }

    /// Takes an event at a time; returns what to do. Events of sites that aren't expected, or after
    /// the end, change nothing.
    pub fn step(&mut self, event: Event, now: Timestamp) -> Vec<Effect> {
        let Phase::Collecting { sites } = &mut self.phase else { return Vec::new() };
        match event {
            Event::Polled { site, working } => {
                let Some(work) = sites.get_mut(&site) else { return Vec::new() };
                match poll(work, working, self.lease_ms, now) {
                    Some(attempt) => vec![Effect::HandOut { site, attempt }],
                    None => Vec::new(),
                }
            }
            Event::Progressed { site } => {
                let lease_ms = self.lease_ms;
                match sites.get_mut(&site) {
                    Some(Work::Leased { until, last_sign, .. }) => {
                        (*until, *last_sign) = (now.plus_ms(lease_ms), now);
                    }
                    Some(Work::Waiting { last_sign, .. }) => *last_sign = now,
                    Some(Work::Received) | None => {}
                }
                Vec::new()
            }
            Event::Submitted { site } => {
                match sites.get_mut(&site) {
                    Some(work) if *work != Work::Received => *work = Work::Received,
                    _ => return Vec::new(),
                }
                let mut effects = vec![Effect::Accept { site }];
                if self.finish_when_complete() {
                    effects.push(Effect::Finish);
                }
                effects
            }
            Event::SiteFailed { site } => match sites.get(&site) {
                Some(work) if *work != Work::Received => self.fail(Ending::SiteFailed { site }),
                _ => Vec::new(),
            },
            Event::Tick => {
                let Patience::Limited { ms } = self.patience else { return Vec::new() };
                let lost = self.missing().into_iter().find(|(_, sign)| now.since_ms(*sign) > ms);
                match lost {
                    Some((site, _)) => self.fail(Ending::SiteLost { site }),
                    None => Vec::new(),
                }
            }
            Event::Aborted => self.fail(Ending::Aborted),
        }
    }

    fn fail(&mut self, ending: Ending) -> Vec<Effect> {
        self.phase = Phase::Failed(ending);
        vec![Effect::Finish]
    }

    fn finish_when_complete(&mut self) -> bool {
        let complete = match &self.phase {
            Phase::Collecting { sites } => sites.values().all(|work| *work == Work::Received),
            _ => false,
        };
        if complete {
            self.phase = Phase::Done;
        }
        complete
    }
}

/// Whether a poll gets the task: it does when nobody holds it, when the lease is over, or when the
/// holder no longer knows of it (the agent was restarted).
fn poll(work: &mut Work, working: bool, lease_ms: i64, now: Timestamp) -> Option<u32> {
    let attempts = match work {
        Work::Received => return None,
        Work::Leased { until, last_sign, .. } if working && now < *until => {
            // A poll is a sign of the agent, not progress of the task: the lease isn't extended.
            *last_sign = now;
            return None;
        }
        Work::Leased { attempt, .. } => *attempt,
        Work::Waiting { attempts, .. } => *attempts,
    };
    let attempt = attempts + 1;
    *work = Work::Leased { attempt, until: now.plus_ms(lease_ms), last_sign: now };
    Some(attempt)
}

#[cfg(test)]
mod tests;
