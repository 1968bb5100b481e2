//! Who may do what, and who is refused.

use wardround_core::clock::{Clock, SystemClock};
use wardround_core::ids::{Role, UserId};
use wardround_local::process::Ended;
use wardround_net::pki::{Authority, Identity, Wallet};
use wardround_tests::made::{MadeStudy, lines};
use wardround_tests::{Hospital, LEAD, Trial, operator, site_id};

/// The exit code of a connection or identity that isn't good.
const REFUSED: Option<i32> = Some(2);

fn refused(ended: &Ended, word: &str) {
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.code, REFUSED, "{said}");
    assert!(said.to_lowercase().contains(word), "'{word}' isn't in: {said}");
}

#[test]
fn roles_are_checked_on_every_call() {
    let trial = Trial::start();
    trial.federation.enrol_person("ada", Role::Auditor).unwrap();
    let study = trial.path("study.toml");
    std::fs::write(&study, MadeStudy::default().toml()).unwrap();
    let study = study.to_str().unwrap();
    let say = |who: &str, words: &[&str]| trial.federation.say(who, words).unwrap();

    for who in [LEAD, "ada"] {
        refused(&say(who, &["site", "invite", "elbe"]), who);
        refused(&say(who, &["user", "invite", "eve", "--role", "operator"]), who);
        refused(&say(who, &["user", "revoke", operator()]), who);
    }
    refused(&say("ada", &["study", "submit", study]), "ada");
    refused(&say("ada", &["study", "plan", study]), "ada");
    assert_eq!(say("ada", &["history"]).code, Some(0));
    assert_eq!(say("ada", &["study", "list"]).code, Some(0));
    assert_eq!(say(operator(), &["site", "list"]).code, Some(0));

    // Who did what stands in the history.
    let history = trial.json("ada", &["history"]);
    let did = |who: &str, what: &str, subject: &str| {
        let of =
            |deed: &serde_json::Value, key: &str| deed[key].as_str().unwrap_or_default().to_owned();
        history.as_array().unwrap().iter().any(|deed| {
            of(deed, "who") == who
                && of(deed, "what") == what
                && of(deed, "subject").contains(subject)
        })
    };
    assert!(did("user:operator", "invite", "user:ada"), "{history}");
    assert!(did("user:ada", "join", ""), "{history}");
    assert!(!did("user:ada", "invite", ""), "{history}");
}

#[test]
fn the_revoked_are_refused_at_once_and_the_log_says_so() {
    let mut trial = Trial::with(&[Hospital::loose("elbe", lines("elbe", 20))]);
    let elbe = site_id("elbe");
    trial.federation.ask(operator(), &["user", "revoke", LEAD]).unwrap();
    refused(&trial.federation.say(LEAD, &["study", "list"]).unwrap(), "revoked");
    trial.federation.ask(operator(), &["site", "revoke", elbe.as_str()]).unwrap();
    let until = std::time::Instant::now() + wardround_tests::DEADLINE;
    while trial.federation.site_runs(&elbe) {
        assert!(std::time::Instant::now() < until, "a revoked site goes on\n{}", trial.logs());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let log = std::fs::read_to_string(trial.federation.log("elbe")).unwrap();
    let ledger_is_whole = wardround_privacy::ledger::verify(&trial.ledger(&elbe)).is_ok();
    assert!(ledger_is_whole, "{log}");
    let log = std::fs::read_to_string(trial.federation.log("coordinator")).unwrap();
    assert!(log.contains("revoked"), "{log}");
}

#[test]
fn strangers_are_refused() {
    let (ours, theirs) = (Trial::start(), Trial::start());
    // A certificate of another consortium.
    let mut command = theirs.federation.as_person(LEAD, &["study", "list"]);
    command.env("WARDROUND_COORDINATOR", ours.federation.address());
    let ended = ours.federation.nursery().output("study list", command).unwrap();
    assert_eq!(ended.code, REFUSED, "{ended:?}");
    // No certificate.
    refused(&ours.federation.say("nobody", &["study", "list"]).unwrap(), "joined");
    // A token that was used, one that never was, and one for a person at a site's door.
    let token = ours.federation.folder().join(format!("{LEAD}.token"));
    let join = |token: &std::path::Path| {
        let mut command = ours.federation.as_person("eve", &["user", "join", "--token-file"]);
        command.arg(token);
        ours.federation.nursery().output("user join", command).unwrap()
    };
    let used = join(&token);
    assert_eq!(used.code, REFUSED, "{used:?}");
    let made_up = ours.path("made-up.token");
    std::fs::write(&made_up, "not a token").unwrap();
    assert_ne!(join(&made_up).code, Some(0));
    let foreign = theirs.path("foreign.token");
    let mut invite =
        theirs.federation.as_person(operator(), &["user", "invite", "eve", "--role", "lead"]);
    invite.arg("--out").arg(&foreign);
    theirs.federation.nursery().run("invite", invite).unwrap();
    let foreign = join(&foreign);
    assert_eq!(foreign.code, REFUSED, "{foreign:?}");
    assert!(!ours.federation.profile("eve").join("identity.pem").exists());
}

#[test]
fn the_expired_are_refused_with_a_reason() {
    let trial = Trial::start();
    let now = SystemClock.now();
    let authority =
        Authority::open_or_create(&trial.federation.data().join("pki"), "", now).unwrap();
    let wallet = Wallet::open(trial.federation.profile("late")).unwrap();
    let identity = Identity::User { name: UserId::parse(LEAD).unwrap(), role: Role::Lead };
    let two_hours_ago = now.plus_ms(-2 * 3600 * 1000);
    let request = wallet.request().unwrap();
    let hour = std::time::Duration::from_secs(3600);
    let issued = authority.issue(&request, &identity, hour, two_hours_ago).unwrap();
    wallet.accept(&issued.pem, &authority.certificate_pem()).unwrap();
    refused(&trial.federation.say("late", &["study", "list"]).unwrap(), "expired");
    let log = std::fs::read_to_string(trial.federation.log("coordinator")).unwrap();
    assert!(log.contains("expired"), "{log}");
}
