//! The built binary: what it prints, where, and how it exits.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::harness::{Running, ask};
use crate::ran::Ran;

/// A study of a table that any number of sites can be in.
pub const STUDY: &str = r#"
format = 1
name = "Heart"
seed = 1
[target]
column = "sick"
positive = ["1"]
[patient]
key = "patient"
[table]
numeric = ["age"]
missing = "drop"
[classifier]
kind = "logistic"
c = [1.0]
standardise = ["all"]
[validation]
folds = 2
repeats = 1
leave_one_site_out = false
"#;

/// Runs the binary with a profile folder and nothing of the tester's own environment.
pub fn wardround(profile: &Path, arguments: &[&str]) -> Ran {
    run(command(profile, arguments), "")
}

fn command(profile: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardround"));
    command.args(arguments).env_clear().env("WARDROUND_PROFILE_DIR", profile);
    command
}

fn run(mut command: Command, stdin: &str) -> Ran {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary is built");
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(stdin.as_bytes())
        .expect("stdin is piped");
    let output = child.wait_with_output().expect("the process ends");
    Ran::of(output)
}

/// A coordinator with an operator and a lead, joined through the binary.
pub struct Scene {
    pub running: Running,
    pub operator: PathBuf,
    pub lead: PathBuf,
}

impl Scene {
    pub async fn set() -> Self {
        let running = Running::start().await;
        let operator = running.folder.path().join("profiles/olga");
        let lead = running.folder.path().join("profiles/lea");
        let scene = Self { running, operator, lead };
        let address = scene.running.address.to_string();
        let token_file = scene.running.operator_token.display().to_string();
        let join = ["user", "join", "--coordinator", &address, "--token-file", &token_file];
        let joined = wardround(&scene.operator, &join);
        assert_eq!(joined.exit, 0, "{}", joined.stderr);
        let invited = wardround(&scene.operator, &["user", "invite", "lea", "--role", "lead"]);
        assert_eq!(invited.exit, 0, "{}", invited.stderr);
        assert_eq!(invited.stdout.lines().count(), 1, "the token alone goes to stdout");
        assert!(invited.stderr.contains("wardround user join --coordinator"));
        let mut join = command(&scene.lead, &["user", "join", "--coordinator", &address]);
        join.env("WARDROUND_TOKEN", invited.stdout.trim());
        let joined = run(join, "");
        assert_eq!(joined.exit, 0, "{}", joined.stderr);
        scene
    }
}

#[test]
fn usage_errors_are_bad_input_and_help_is_not() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &["study"][..],
        &["study", "bogus"],
        &["site", "invite", "Not An Id"],
        &["user", "invite", "a", "--role", "root"],
        &["user", "join", "--token", "wr1.x.y"],
        &["study", "wait", "s1", "--timeout", "soon"],
    ] {
        let ran = wardround(folder.path(), arguments);
        assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{arguments:?}");
    }
    for arguments in [&["--version"][..], &["help"], &["study", "submit", "--help"]] {
        let ran = wardround(folder.path(), arguments);
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""), "{arguments:?}");
    }
    let ran = wardround(folder.path(), &["completions", "bash"]);
    assert!(ran.exit == 0 && ran.stdout.contains("wardround"));
}

#[test]
fn study_new_and_check_work_without_a_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("manifest.csv");
    std::fs::write(&manifest, "path;patient_id;sex;dx\na.png;1;f;mel\nb.png;2;m;nv\n").unwrap();
    let study = folder.path().join("study.toml").display().to_string();
    let new = ["study", "new", &manifest.display().to_string(), "--out", &study];
    assert_eq!(wardround(folder.path(), &new).exit, 0);
    let again = wardround(folder.path(), &new);
    assert_eq!(again.exit, 4, "a file is never overwritten");
    let checked = wardround(folder.path(), &["study", "check", &study, "--format", "json"]);
    assert_eq!((checked.exit, checked.envelope()["format"].as_u64()), (0, Some(1)));

    std::fs::write(&study, "format = 1\nname = 3\nseeds = 1\n").unwrap();
    let wrong = wardround(folder.path(), &["study", "check", &study]);
    assert_eq!((wrong.exit, wrong.stdout.as_str()), (4, ""));
    assert!(wrong.stderr.lines().count() > 3, "all mistakes at once: {}", wrong.stderr);
    assert!(wrong.stderr.contains(&format!("{study}:2:8: ")), "{}", wrong.stderr);
    let wrong = wardround(folder.path(), &["study", "check", &study, "--format", "json"]);
    let error = wrong.envelope()["error"].clone();
    assert_eq!(error["code"], "bad-input");
    let lines: Vec<u64> = error["detail"]["mistakes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|mistake| mistake["line"].as_u64().unwrap())
        .collect();
    assert!(lines.contains(&2) && lines.contains(&3), "{lines:?}");
}

#[test]
fn no_connection_and_no_identity_exit_alike() {
    let folder = tempfile::tempdir().unwrap();
    let ran = wardround(folder.path(), &["study", "list"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("wardround user join"), "{}", ran.stderr);
    // A port that was free a moment ago.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    wardround_net::install_crypto_provider();
    let pin = wardround_net::pki::Fingerprint::of(b"root");
    let token = wardround_net::invite::InviteToken::generate(&pin).reveal();
    let join = ["user", "join", "--coordinator", &address, "--token-file", "-"];
    let ran = run(command(folder.path(), &join), &token);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("can't be reached"), "{}", ran.stderr);
    let ran = run(command(folder.path(), &join), "wr1.damaged");
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
}

#[cfg(target_os = "linux")]
#[test]
fn an_answer_that_cannot_be_written_is_internal() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_wardround"));
    let status = command.args(["completions", "bash"]).stdout(full).status().unwrap();
    assert_eq!(status.code(), Some(5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_from_a_laptop() {
    let scene = Scene::set().await;
    let Scene { running, operator, lead } = &scene;
    let invited = wardround(operator, &["site", "invite", "a", "--format", "json"]);
    let data = invited.envelope()["data"].clone();
    running.join(data["token"].as_str().unwrap(), "site-a").await;
    let listed = wardround(lead, &["site", "list"]);
    assert!(listed.stdout.contains("a     enrolled"), "{}", listed.stdout);
    let refused = wardround(lead, &["site", "revoke", "a", "--format", "json"]);
    assert_eq!((refused.exit, refused.stderr.as_str()), (2, ""));
    let envelope = refused.envelope();
    assert_eq!(envelope["error"]["code"], "forbidden");
    assert_eq!(envelope["error"]["sentence"], "lea is lead; this needs operator");
    assert_eq!(wardround(operator, &["site", "revoke", "a"]).exit, 0);
    assert_eq!(wardround(operator, &["site", "revoke", "a"]).exit, 4);
    let me = wardround(lead, &["user", "whoami", "--format", "json"]);
    assert_eq!(me.envelope()["data"]["role"], "lead");
    let history = wardround(lead, &["history"]);
    assert!(history.stdout.contains("user:olga"), "{}", history.stdout);
    assert_eq!(wardround(operator, &["user", "revoke", "lea"]).exit, 0);
    let out = wardround(lead, &["history"]);
    assert_eq!(out.exit, 2);
    assert!(out.stderr.contains("revoked"), "{}", out.stderr);
    scene.running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_study_from_submit_to_its_end() {
    let scene = Scene::set().await;
    let Scene { running, operator, lead } = &scene;
    for site in ["a", "b", "c"] {
        let invited = wardround(operator, &["site", "invite", site]);
        running.join(invited.stdout.trim(), site).await;
    }
    let file = running.folder.path().join("study.toml");
    std::fs::write(&file, STUDY).unwrap();
    let file = file.display().to_string();

    let plan = wardround(lead, &["study", "plan", &file]);
    assert_eq!(plan.exit, 0, "{}", plan.stderr);
    assert!(plan.stdout.contains("models in about"), "{}", plan.stdout);
    let submit = ["study", "submit", &file, "--token", "once"];
    let first = wardround(lead, &submit);
    assert_eq!(first.exit, 0, "{}", first.stderr);
    let id = first.stdout.trim().to_owned();
    assert_eq!(first.stdout, format!("{id}\n"), "the id alone goes to stdout");
    assert_eq!(wardround(lead, &submit).stdout, first.stdout, "a token makes it idempotent");
    let listed = wardround(lead, &["study", "list", "--format", "json"]).envelope();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    assert_eq!(listed["data"][0]["study"], id.as_str());

    let waited = wardround(lead, &["study", "wait", &id, "--timeout", "0.5"]);
    assert_eq!(waited.exit, 3, "{}", waited.stderr);
    let early = wardround(lead, &["study", "report", &id]);
    assert_eq!((early.exit, early.stdout.as_str()), (4, ""));
    assert_eq!(wardround(operator, &["study", "abort", &id]).exit, 2);
    assert_eq!(wardround(lead, &["study", "abort", &id]).exit, 0);
    let waited = wardround(lead, &["study", "wait", &id]);
    assert_eq!(waited.exit, 1);
    assert!(waited.stderr.contains("aborted by user:lea"), "{}", waited.stderr);
    let watched = wardround(lead, &["study", "watch", &id]);
    assert_eq!(watched.exit, 1);
    assert!(watched.stdout.contains("study is aborted"), "{}", watched.stdout);
    let logs = wardround(lead, &["study", "logs", &id]);
    assert!(logs.exit == 0 && logs.stdout.contains("study is aborted"), "{}", logs.stdout);
    let cloned = wardround(lead, &["study", "clone", &id]);
    assert_eq!(cloned.stdout.trim(), STUDY.trim());
    assert!(cloned.stderr.contains("--parent"), "{}", cloned.stderr);
    assert_eq!(wardround(lead, &["study", "logs", "s9-000000"]).exit, 4);

    // Its archive is signed under the root that everybody joined, and has the certificates of all who took part.
    let archive = running.folder.path().join("a.zip").display().to_string();
    let exported = wardround(lead, &["study", "export", &id, "--out", &archive]);
    assert_eq!(exported.exit, 0, "{}", exported.stderr);
    let me = wardround(lead, &["user", "whoami", "--format", "json"]).envelope();
    let root = me["data"]["ca_fingerprint"].as_str().unwrap();
    let verify = ["study", "verify", &archive, "--ca", root, "--format", "json"];
    let verified = wardround(lead, &verify).envelope()["data"].clone();
    assert_eq!(verified["signature"]["ca_compared"], true, "{verified}");
    assert_eq!(verified["certificates"], 4);
    assert_eq!(verified["without_certificate"], serde_json::json!([]));
    let manifest = verified["manifest"].as_str().unwrap();
    let history = wardround(lead, &["history"]).stdout;
    let signed = history.lines().find(|line| line.contains("sign export")).unwrap();
    assert!(signed.contains(&id) && signed.contains(manifest), "{signed}");
    scene.running.stop().await;
}

/// A served data folder.
#[cfg(unix)]
struct Served {
    process: std::process::Child,
    greeting: Value,
    log: PathBuf,
}

#[cfg(unix)]
impl Served {
    fn start(data: &Path, listen: &str) -> Self {
        let data = data.display().to_string();
        let mut command = command(Path::new("unused"), &["serve", "--data", &data]);
        command.args(["--listen", listen, "--host", "127.0.0.1", "--format", "json"]);
        let log = PathBuf::from(format!("{data}.log"));
        let errors = std::fs::File::create(&log).expect("the folder is writable");
        command.args(["--name", "Test"]).stdout(Stdio::piped()).stderr(errors);
        let mut process = command.spawn().expect("the binary is built");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("stdout is piped"))
            .read_line(&mut line)
            .expect("stdout is piped");
        let greeting: Value = serde_json::from_str(&line).expect("one JSON envelope");
        Self { process, greeting: greeting["data"].clone(), log }
    }

    fn coordinator(&self) -> &str {
        self.greeting["coordinator"].as_str().expect("the greeting says it")
    }

    /// Asks it to stop and gives its exit code.
    fn stop(mut self) -> Option<i32> {
        let id = self.process.id().to_string();
        assert!(Command::new("kill").arg(id).status().expect("kill is there").success());
        self.process.wait().expect("the process ends").code()
    }
}

#[cfg(unix)]
#[test]
fn serve_greets_serves_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let profile = folder.path().join("profile");
    let nameless =
        ["serve", "--data", &data.display().to_string(), "--listen", "127.0.0.1:0", "--host", "x"];
    let nameless = wardround(&profile, &nameless);
    assert_eq!(nameless.exit, 4);
    assert!(nameless.stderr.contains("--name"), "{}", nameless.stderr);

    let served = Served::start(&data, "127.0.0.1:0");
    let token_file = served.greeting["operator"]["token_file"].as_str().unwrap();
    let join = ["user", "join", "--coordinator", served.coordinator(), "--token-file", token_file];
    let joined = wardround(&profile, &[&join[..], &["--format", "json"]].concat());
    assert_eq!(joined.exit, 0, "{}", joined.stdout);
    assert_eq!(joined.envelope()["data"]["ca_fingerprint"], served.greeting["ca_fingerprint"]);

    // Whoever is turned away stands in the log: who, from where, why.
    let spent = wardround_net::invite::InviteToken::generate(
        &joined.envelope()["data"]["ca_fingerprint"].as_str().unwrap().parse().unwrap(),
    );
    let other = folder.path().join("other");
    let mut again = command(&other, &["user", "join", "--coordinator", served.coordinator()]);
    again.env("WARDROUND_TOKEN", spent.reveal());
    let again = run(again, "");
    assert_eq!(again.exit, 2, "{}", again.stderr);
    assert!(again.stderr.contains("isn't known here"), "{}", again.stderr);
    assert_eq!(wardround(&profile, &["history"]).exit, 2);
    let log = std::fs::read_to_string(&served.log).unwrap();
    let line = |what: &str| log.lines().find(|line| line.contains(what)).unwrap();
    let refused = line("join refused");
    assert!(refused.contains("remote=127.0.0.1:") && refused.contains("isn't known"), "{refused}");
    let refused = line("call refused");
    assert!(refused.contains("user/operator") && refused.contains("127.0.0.1:"), "{refused}");
    assert!(refused.contains("this needs lead or auditor"), "{refused}");
    assert!(!log.contains(&spent.reveal()), "no token in the log");
    assert_eq!(served.stop(), Some(0));
}

/// Whoever waits for a study goes on waiting over a restart, and the study goes on.
#[cfg(unix)]
#[tokio::test]
async fn waiting_survives_a_restart_of_the_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (operator, lead) = (folder.path().join("olga"), folder.path().join("lea"));
    let served = Served::start(&data, "127.0.0.1:0");
    let coordinator = served.coordinator().to_owned();
    let token_file = served.greeting["operator"]["token_file"].as_str().unwrap();
    let join = ["user", "join", "--coordinator", &coordinator, "--token-file"];
    assert_eq!(wardround(&operator, &[&join[..], &[token_file]].concat()).exit, 0);
    let lea = folder.path().join("lea.token").display().to_string();
    let invite = ["user", "invite", "lea", "--role", "lead", "--out", &lea];
    assert_eq!(wardround(&operator, &invite).exit, 0);
    assert_eq!(wardround(&lead, &[&join[..], &[&lea]].concat()).exit, 0);
    wardround_net::install_crypto_provider();
    for site in ["a", "b", "c"] {
        let token = wardround(&operator, &["site", "invite", site]).stdout;
        let wallet = wardround_net::pki::Wallet::open(folder.path().join(site)).unwrap();
        ask(coordinator.parse().unwrap(), &data, token.trim(), &wallet).await.unwrap();
    }
    let file = folder.path().join("study.toml");
    std::fs::write(&file, STUDY).unwrap();
    let submitted = wardround(&lead, &["study", "submit", &file.display().to_string()]);
    assert_eq!(submitted.exit, 0, "{}", submitted.stderr);
    let id = submitted.stdout.trim().to_owned();

    let mut waiting = command(&lead, &["study", "wait", &id]);
    let mut waiting = waiting.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waiting.stderr.take().unwrap()).lines().map(Result::unwrap);
    // The history says when the waiting has begun.
    loop {
        let history = wardround(&lead, &["history"]);
        if history.stdout.contains("watch") {
            break;
        }
    }
    assert_eq!(served.stop(), Some(0));
    assert!(said.next().unwrap().contains("the coordinator is stopping; trying again"));
    let served = Served::start(&data, &coordinator);
    assert_eq!(said.next().unwrap(), "connected again");
    let listed = wardround(&lead, &["study", "list"]);
    assert!(listed.stdout.contains("enlisting"), "{}", listed.stdout);
    assert_eq!(wardround(&lead, &["study", "abort", &id]).exit, 0);
    assert_eq!(said.next().unwrap(), format!("study {id} aborted: aborted by user:lea"));
    assert_eq!(waiting.wait().unwrap().code(), Some(1));
    assert_eq!(served.stop(), Some(0));
}

#[test]
fn an_archive_is_verified_and_replayed_without_a_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal-2-algorithm-1.zip");
    let verified = wardround(folder.path(), &["study", "verify", fixture, "--format", "json"]);
    assert_eq!(verified.exit, 0, "{}", verified.stdout);
    assert!(verified.envelope()["data"]["lines"].as_u64().unwrap() > 0);
    let replayed = wardround(folder.path(), &["study", "replay", fixture]);
    assert_eq!(replayed.exit, 0, "{}", replayed.stderr);
    assert!(replayed.stdout.contains("byte for byte"), "{}", replayed.stdout);

    let mut bytes = std::fs::read(fixture).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let changed = folder.path().join("changed.zip");
    std::fs::write(&changed, bytes).unwrap();
    let changed = wardround(folder.path(), &["study", "verify", &changed.display().to_string()]);
    assert_eq!((changed.exit, changed.stdout.as_str()), (1, ""), "{}", changed.stderr);
    assert_eq!(wardround(folder.path(), &["study", "replay", "nowhere.zip"]).exit, 4);
}
