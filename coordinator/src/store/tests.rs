use wardround_core::clock::{ManualClock, Timestamp};
use wardround_core::digest::Digest;
use wardround_core::ids::{Role, SiteId, StudyId, UserId};
use wardround_core::query::{Ask, FoldPlan, JudgedUnit, Labelling, Query, Schema, Weighting};
use wardround_core::seed::Seed;
use wardround_core::sum::Sum;
use wardround_learn::cohort::Purpose;
use wardround_learn::recorded::{Journal, Receipt};

use super::*;

fn site(name: &str) -> SiteId {
    SiteId::parse(name).unwrap()
}

fn store() -> (tempfile::TempDir, std::sync::Arc<Store>) {
    let folder = tempfile::tempdir().unwrap();
    let store = std::sync::Arc::new(Store::open(folder.path()).unwrap());
    (folder, store)
}

fn new_study(token: &str) -> NewStudy {
    NewStudy {
        name: "A study".into(),
        toml: "format = 1".into(),
        sites: vec![site("a"), site("b")],
        by: UserId::parse("lea").unwrap(),
        token: token.into(),
        parent: String::new(),
    }
}

fn query(study: &StudyId) -> Query {
    Query {
        study: study.clone(),
        sites: vec![site("a"), site("b")],
        schema: Schema {
            features: 2,
            classes: 2,
            labelling: Labelling::Single,
            weighting: Weighting::Equal,
            judged: JudgedUnit::Row,
            levels: vec![],
        },
        input: 0,
        folds: FoldPlan { seed: Seed(1), folds: 5, repeats: 1 },
        ask: Ask::Profile { split: vec![] },
    }
}

fn issued(serial: &str) -> NewCertificate<'_> {
    NewCertificate { serial, not_after: Timestamp(1000), pem: serial }
}

#[test]
fn a_token_works_once_and_ends() {
    let (_folder, store) = store();
    let (hash, late) = (Digest::of(b"1"), Digest::of(b"2"));
    let lea = Invitee::User(UserId::parse("lea").unwrap(), Role::Lead);
    store.add_invite(&hash, &lea, Timestamp(100)).unwrap();
    store.add_invite(&late, &Invitee::Site(site("a")), Timestamp(100)).unwrap();
    let enrol = |hash: &Digest, serial: &str, now| {
        let key = Digest::of(serial.as_bytes());
        store.enrol(hash, &key, issued(serial), "0.1.0", Timestamp(now)).unwrap()
    };
    assert_eq!(enrol(&Digest::of(b"no"), "00", 50), Spent::Unknown);
    assert_eq!(enrol(&late, "01", 101), Spent::Expired(Timestamp(100)));
    assert_eq!(enrol(&hash, "02", 50), Spent::Accepted(lea));
    assert_eq!(enrol(&hash, "03", 51), Spent::Used(Timestamp(50)));
    assert_eq!(store.admitted_serials().unwrap(), [("02".to_owned(), false)]);
    let members = store.members("user").unwrap();
    assert_eq!((members.len(), members[0].state), (1, MemberState::Enrolled));
    assert_eq!(store.members("site").unwrap()[0].state, MemberState::Invited);
    assert!(store.has_users().unwrap());
}

#[test]
fn revoking_ends_certificates_and_open_invitations() {
    let (_folder, store) = store();
    let hash = Digest::of(b"1");
    store.add_invite(&hash, &Invitee::Site(site("a")), Timestamp(100)).unwrap();
    let key = Digest::of(b"key");
    store.enrol(&hash, &key, issued("01"), "", Timestamp(1)).unwrap();
    store.add_invite(&Digest::of(b"2"), &Invitee::Site(site("a")), Timestamp(100)).unwrap();
    let revoke = || store.end_membership("site", "a", MemberState::Revoked, Timestamp(2)).unwrap();
    assert!(revoke());
    assert!(!revoke());
    assert_eq!(store.admitted_serials().unwrap(), [("01".to_owned(), true)]);
    let spent = store.enrol(&Digest::of(b"2"), &key, issued("02"), "", Timestamp(3)).unwrap();
    assert_eq!(spent, Spent::Unknown);
    let again = store.enrol(&hash, &key, issued("03"), "", Timestamp(3)).unwrap();
    assert_eq!(again, Spent::Used(Timestamp(1)), "a revoked member can't ask again");
    assert!(store.enrolled_sites().unwrap().is_empty());
}

#[test]
fn a_cut_join_asks_again_with_its_key_until_a_newer_one() {
    let (_folder, store) = store();
    let (first, second) = (Digest::of(b"1"), Digest::of(b"2"));
    let (key, other) = (Digest::of(b"key"), Digest::of(b"other"));
    let a = Invitee::Site(site("a"));
    let enrol = |hash, key, serial, now| {
        store.enrol(hash, key, issued(serial), "", Timestamp(now)).unwrap()
    };
    store.add_invite(&first, &a, Timestamp(100)).unwrap();
    assert_eq!(enrol(&first, &key, "01", 1), Spent::Accepted(a.clone()));
    assert_eq!(enrol(&first, &key, "02", 2), Spent::Accepted(a.clone()));
    assert_eq!(enrol(&first, &other, "03", 3), Spent::Used(Timestamp(1)));
    assert_eq!(enrol(&first, &key, "03", 101), Spent::Expired(Timestamp(100)));
    let admitted = |serial: &str, revoked| (serial.to_owned(), revoked);
    assert_eq!(store.admitted_serials().unwrap(), [admitted("01", false), admitted("02", false)]);
    store.add_invite(&second, &a, Timestamp(100)).unwrap();
    assert_eq!(enrol(&second, &other, "04", 4), Spent::Accepted(a));
    assert_eq!(enrol(&first, &key, "05", 5), Spent::Used(Timestamp(1)));
    let now = [admitted("01", true), admitted("02", true), admitted("04", false)];
    assert_eq!(store.admitted_serials().unwrap(), now);
}

#[test]
fn a_token_makes_submitting_idempotent_and_an_end_is_final() {
    let (_folder, store) = store();
    let (first, fresh) = store.add_study(&new_study("t"), Timestamp(1)).unwrap();
    assert!(fresh);
    assert_eq!(store.add_study(&new_study("t"), Timestamp(2)).unwrap(), (first.clone(), false));
    let (other, _) = store.add_study(&new_study(""), Timestamp(2)).unwrap();
    assert_ne!(first, other);
    assert!(store.set_study_state(&first, StudyState::Done, "", Timestamp(3)).unwrap());
    assert!(!store.set_study_state(&first, StudyState::Failed, "late", Timestamp(4)).unwrap());
    assert_eq!(store.study(&first).unwrap().unwrap().state, StudyState::Done);
    let lost = LostAttempt {
        attempt: 1,
        sites: vec![site("a"), site("b")],
        lost: site("a"),
        round: 3,
        reason: "silent".into(),
    };
    store.lose_site(&other, &lost).unwrap();
    assert_eq!(store.lost_attempts(&other).unwrap(), [lost]);
    assert_eq!(store.lost_sites(&other).unwrap(), [site("a")]);
    assert_eq!(store.study_sites(&other).unwrap(), [(site("b"), None)]);
}

#[test]
fn the_journal_is_chained_and_survives_a_restart() {
    let (folder, store) = store();
    let (study, _) = store.add_study(&new_study(""), Timestamp(1)).unwrap();
    let clock = std::sync::Arc::new(ManualClock::at(Timestamp(5)));
    let journal = StudyJournal::new(store.clone(), clock.clone(), study.clone());
    let query = query(&study);
    let mut sum = Sum::zero(&query);
    sum.sites = query.sites.clone();
    sum.blocks[0][0] = 42;
    assert_eq!(journal.find(&query.digest()).unwrap(), None);
    journal.record(&query, &sum).unwrap();
    assert!(journal.record(&query, &sum).is_err(), "a query is recorded once");
    drop((journal, store));

    let store = std::sync::Arc::new(Store::open(folder.path()).unwrap());
    let journal = StudyJournal::new(store.clone(), clock, study.clone());
    assert_eq!(journal.find(&query.digest()).unwrap(), Some(sum.clone()));
    let lines = store.journal(&study).unwrap();
    assert_eq!(lines[0].receipt, Receipt::new(&query, &sum));
    let chain = JournalEntry::link(None, &study, &lines[0].receipt, &Kept::Total);
    assert_eq!(store.journal_head(&study).unwrap(), Some((1, chain)));

    let name = folder.path().join("files");
    let file = walk(&name).pop().unwrap();
    std::fs::write(&file, b"damaged").unwrap();
    assert!(journal.find(&query.digest()).unwrap_err().contains("damaged"));
}

#[test]
fn sealed_answers_open_until_their_key_is_destroyed() {
    let (_folder, store) = store();
    let (study, _) = store.add_study(&new_study(""), Timestamp(1)).unwrap();
    let query = query(&study);
    let mut sum = Sum::zero(&query);
    sum.sites = vec![site("a")];
    let put = |bytes: &[u8]| {
        let lock = Digest::of(b"lock");
        store.put_answer(&study, &site("a"), &query.digest(), &lock, bytes, Timestamp(1))
    };
    put(&sum.encode()).unwrap();
    put(&sum.encode()).unwrap();
    assert!(put(b"other").is_err(), "an answer never changes");
    let digest = query.digest();
    assert_eq!(store.answer(&study, &site("a"), &digest).unwrap(), Some(sum));
    assert_eq!(store.answer(&study, &site("b"), &digest).unwrap(), None);
    store.destroy_answers(&study, &site("a")).unwrap();
    assert!(store.answer(&study, &site("a"), &digest).is_err());
}

#[test]
fn a_decision_is_kept_and_single_answers_go() {
    let (_folder, store) = store();
    let (study, _) = store.add_study(&new_study(""), Timestamp(1)).unwrap();
    let clock = std::sync::Arc::new(ManualClock::at(Timestamp(5)));
    let journal = StudyJournal::new(store.clone(), clock, study.clone());
    let query = query(&study);
    let (digest, lock) = (query.digest(), Digest::of(b"lock"));
    let mut total = Sum::zero(&query);
    total.sites = query.sites.clone();
    let put = || {
        for site in &query.sites {
            let mut answer = Sum::zero(&query);
            answer.sites = vec![site.clone()];
            let bytes = answer.encode();
            store.put_answer(&study, site, &digest, &lock, &bytes, Timestamp(1)).unwrap();
        }
    };
    put();
    let sealed = walk(&store.folder().join("sealed"));
    assert_eq!(sealed.len(), 2);
    let left = std::fs::read(&sealed[0]).unwrap();

    let receipt = Receipt::new(&query, &total);
    let [one, other] = [b"one", b"two"].map(|name| Purpose(Digest::of(name)));
    journal.record_decision(&receipt, &one, b"decided").unwrap();
    assert!(journal.record_decision(&receipt, &one, b"decided").is_err(), "recorded once");
    assert!(walk(&store.folder().join("sealed")).is_empty());
    assert_eq!(store.answers(&study).unwrap().len(), 2, "their digests stay");
    // A cut before they were removed: they go when the line is read.
    std::fs::write(&sealed[0], left).unwrap();
    let found = journal.find_decision(&digest, &one).unwrap();
    assert_eq!(found, Some((receipt.clone(), b"decided".to_vec())));
    assert!(walk(&store.folder().join("sealed")).is_empty());

    // Whoever else asks has the sites asked again, for the same total.
    assert_eq!(journal.find_decision(&digest, &other).unwrap(), None);
    assert_eq!(journal.find(&digest).unwrap(), None);
    assert_eq!(store.answer(&study, &site("a"), &digest).unwrap(), None);
    put();
    let another = Receipt { total: Digest::of(b"another"), ..receipt.clone() };
    let error = journal.record_decision(&another, &other, b"otherwise").unwrap_err();
    assert!(error.contains("and now has"), "{error}");
    journal.record_decision(&receipt, &other, b"otherwise").unwrap();

    let kept = |purpose, decision| Kept::Decision { purpose, digest: Digest::of(decision) };
    let first = JournalEntry::link(None, &study, &receipt, &kept(one, b"decided"));
    let chain = JournalEntry::link(Some(&first), &study, &receipt, &kept(other, b"otherwise"));
    assert_eq!(store.journal_head(&study).unwrap(), Some((2, chain)));
    assert_ne!(first, JournalEntry::link(None, &study, &receipt, &Kept::Total));
}

#[test]
fn a_database_of_format_1_is_read_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = Connection::open(folder.path().join("coordinator.db")).unwrap();
    before.execute_batch(include_str!("../../tests/fixtures/coordinator-1.sql")).unwrap();
    drop(before);
    let store = std::sync::Arc::new(Store::open(folder.path()).unwrap());
    let study = store.studies().unwrap().remove(0).id;
    let lines = store.journal(&study).unwrap();
    assert!(lines.len() > 10);
    let mut chain = None;
    for line in &lines {
        assert_eq!(line.kept, Kept::Total);
        chain = Some(JournalEntry::link(chain.as_ref(), &study, &line.receipt, &line.kept));
        assert_eq!(chain, Some(line.chain));
    }
    let clock = std::sync::Arc::new(ManualClock::at(Timestamp(5)));
    let journal = StudyJournal::new(store.clone(), clock, study.clone());
    let query = query(&study);
    let receipt = Receipt::new(&query, &Sum::zero(&query));
    let purpose = Purpose(Digest::of(b"one"));
    journal.record_decision(&receipt, &purpose, b"decided").unwrap();
    drop((journal, store));
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.journal(&study).unwrap().len(), lines.len() + 1);
}

#[test]
fn a_database_of_format_2_keeps_certificates_from_now_on() {
    let folder = tempfile::tempdir().unwrap();
    let before = Connection::open(folder.path().join("coordinator.db")).unwrap();
    before.execute_batch(include_str!("../../tests/fixtures/coordinator-2.sql")).unwrap();
    drop(before);
    let store = Store::open(folder.path()).unwrap();
    let site = site("site-0");
    assert_eq!(store.admitted_serials().unwrap(), [("4a01".to_owned(), false)]);
    assert_eq!(store.software_of(&site).unwrap(), "0.1.0");
    assert!(store.certificates("site", "site-0").unwrap().is_empty());
    store.add_certificate("site", "site-0", issued("02")).unwrap();
    drop(store);
    let store = Store::open(folder.path()).unwrap();
    assert_eq!(store.certificates("site", "site-0").unwrap(), ["02"]);
}

#[test]
fn a_newer_database_is_refused() {
    let (folder, store) = store();
    store.db().pragma_update(None, "user_version", FORMAT + 1).unwrap();
    drop(store);
    assert!(matches!(Store::open(folder.path()), Err(StoreError::Newer { found: 4 })));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files.extend(walk(&path)),
            false => files.push(path),
        }
    }
    files
}
