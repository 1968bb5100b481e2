use proptest::prelude::*;

use super::*;

const LEASE: i64 = 1_000;

fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

fn round(patience: Patience) -> Round {
    Round::start([site("a"), site("b")], &[], LEASE, patience, Timestamp(0))
}

fn polled(name: &str) -> Event {
    Event::Polled { site: site(name), working: false }
}

fn submitted(name: &str) -> Event {
    Event::Submitted { site: site(name) }
}

#[test]
fn ends_when_every_site_answered_once() {
    let mut round = round(Patience::Endless);
    let first = round.step(polled("a"), Timestamp(1));
    assert_eq!(first, [Effect::HandOut { site: site("a"), attempt: 1 }]);
    assert_eq!(round.step(submitted("a"), Timestamp(2)), [Effect::Accept { site: site("a") }]);
    assert_eq!(round.step(submitted("a"), Timestamp(3)), []);
    assert_eq!(round.step(submitted("x"), Timestamp(3)), []);
    assert_eq!(round.step(polled("a"), Timestamp(3)), []);
    let last = round.step(submitted("b"), Timestamp(4));
    assert_eq!(last, [Effect::Accept { site: site("b") }, Effect::Finish]);
    assert_eq!(round.phase(), &Phase::Done);
    assert_eq!(round.step(submitted("b"), Timestamp(5)), []);
}

#[test]
fn a_lease_that_ran_out_or_was_forgotten_is_handed_out_again() {
    let mut round = round(Patience::Endless);
    round.step(polled("a"), Timestamp(0));
    let working = Event::Polled { site: site("a"), working: true };
    assert_eq!(round.step(working.clone(), Timestamp(LEASE - 1)), []);
    let again = round.step(working, Timestamp(LEASE));
    assert_eq!(again, [Effect::HandOut { site: site("a"), attempt: 2 }]);
    let restarted = round.step(polled("a"), Timestamp(LEASE + 1));
    assert_eq!(restarted, [Effect::HandOut { site: site("a"), attempt: 3 }]);
}

#[test]
fn progress_extends_the_lease_and_the_patience() {
    let mut round = round(Patience::Limited { ms: 5_000 });
    round.step(polled("a"), Timestamp(0));
    round.step(submitted("b"), Timestamp(0));
    for t in (0..20_000).step_by(900) {
        assert_eq!(round.step(Event::Progressed { site: site("a") }, Timestamp(t)), []);
        assert_eq!(round.step(Event::Tick, Timestamp(t)), []);
    }
    assert!(!round.is_over());
    assert_eq!(round.step(Event::Tick, Timestamp(30_000)), [Effect::Finish]);
    assert_eq!(round.phase(), &Phase::Failed(Ending::SiteLost { site: site("a") }));
}

#[test]
fn endless_patience_waits() {
    let mut round = round(Patience::Endless);
    assert_eq!(round.step(Event::Tick, Timestamp(i64::MAX)), []);
    assert_eq!(round.missing().len(), 2);
}

#[test]
fn a_failing_site_and_an_abort_end_it() {
    let mut failing = round(Patience::Endless);
    let effects = failing.step(Event::SiteFailed { site: site("b") }, Timestamp(1));
    assert_eq!(effects, [Effect::Finish]);
    assert_eq!(failing.phase(), &Phase::Failed(Ending::SiteFailed { site: site("b") }));
    let mut aborted = round(Patience::Endless);
    aborted.step(Event::Aborted, Timestamp(1));
    assert_eq!(aborted.phase(), &Phase::Failed(Ending::Aborted));
}

#[test]
fn stored_answers_count_after_a_restart() {
    let all = [site("a"), site("b")];
    let round = Round::start(all.clone(), &all, LEASE, Patience::Endless, Timestamp(0));
    assert_eq!(round.phase(), &Phase::Done);
    let mut one = Round::start(all, &[site("a")], LEASE, Patience::Endless, Timestamp(0));
    assert_eq!(one.step(polled("a"), Timestamp(1)), []);
    assert_eq!(one.step(submitted("b"), Timestamp(1)).len(), 2);
}

proptest! {
    /// Whatever happens in whatever order: a site is accepted at most once, nothing happens after
    /// the end, attempts only grow, and the round is done exactly when all were accepted.
    #[test]
    fn invariants_hold_for_any_events(
        script in prop::collection::vec((0usize..6, 0usize..3, 0i64..3_000), 0..60)
    ) {
        let names = ["a", "b", "c"];
        let sites = names.map(site);
        let patience = Patience::Limited { ms: 10_000 };
        let mut round = Round::start(sites.clone(), &[], LEASE, patience, Timestamp(0));
        let (mut now, mut accepted, mut attempts) = (0, Vec::new(), [0; 3]);
        for (what, who, wait) in script {
            now += wait;
            let site = sites[who].clone();
            let event = match what {
                0 => Event::Polled { site, working: false },
                1 => Event::Polled { site, working: true },
                2 => Event::Progressed { site },
                3 => Event::Submitted { site },
                4 => Event::Tick,
                _ => Event::Polled { site, working: wait % 2 == 0 },
            };
            let over = round.is_over();
            let effects = round.step(event, Timestamp(now));
            prop_assert!(!over || effects.is_empty());
            for effect in effects {
                match effect {
                    Effect::Accept { site } => {
                        prop_assert!(!accepted.contains(&site));
                        accepted.push(site);
                    }
                    Effect::HandOut { site, attempt } => {
                        prop_assert!(!accepted.contains(&site));
                        let at = sites.iter().position(|s| *s == site).unwrap();
                        prop_assert_eq!(attempt, attempts[at] + 1);
                        attempts[at] = attempt;
                    }
                    Effect::Finish => prop_assert!(round.is_over()),
                }
            }
            prop_assert_eq!(*round.phase() == Phase::Done, accepted.len() == 3);
        }
    }
}
