//! A site's life with a coordinator: `join`, `run` with work on images, `leave`.

use std::io::Write;
use std::process::{Child, Command, Stdio};

use wardround_proto::v1;
use wardround_proto::v1::submission::Outcome;

use super::coordinator::{Coordinator, SITE};
use super::made_up::{Ended, Site, lies_below, site_file, with_second_backbone};

async fn joined(site: &Site, coordinator: &Coordinator) {
    site.write("site.toml", &site_file(&coordinator.address));
    let mut join = site.command(&["join", &coordinator.address]);
    join.env("WARDROUND_TOKEN", &coordinator.token);
    let ended = Ended::of(join.output().unwrap());
    assert_eq!(ended.code, 0, "{ended:?}");
    for part in [coordinator.fingerprint.as_str(), "as 'north'", "check --study", "run"] {
        assert!(ended.out.contains(part), "{part}: {ended:?}");
    }
}

/// A running agent; it is killed when a test fails.
struct Running(Child);

impl Running {
    fn start(site: &Site) -> Self {
        Self(site.command(&["run"]).stdin(Stdio::null()).spawn().unwrap())
    }

    /// Asks it to stop, and returns its exit code.
    fn stop(mut self) -> i32 {
        let pid = self.0.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        self.0.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_joins_works_on_images_and_leaves() {
    let (site, coordinator) = (Site::with_images(40), Coordinator::start().await);
    joined(&site, &coordinator).await;
    let running = Running::start(&site);

    let (study_toml, sites) = (site.read("study.toml"), vec![SITE.to_owned()]);
    let consider = v1::Consider { study_toml: study_toml.clone(), sites: sites.clone() };
    let considered = coordinator.ask("t1", v1::task::Work::Consider(consider.clone())).await;
    let Outcome::Verdict(verdict) = considered else { panic!("{considered:?}") };
    assert_eq!((verdict.rows, verdict.rows_to_extract), (39, 39));
    assert_eq!(verdict.features, [512]);

    let enlist = v1::Enlist { study_toml, sites };
    let enlisted = coordinator.ask("t2", v1::task::Work::Enlist(enlist.clone())).await;
    let Outcome::Enlisted(enlisted) = enlisted else { panic!("{enlisted:?}") };
    assert_eq!((enlisted.rows, enlisted.set_aside), (39, 1));
    assert_eq!(enlisted.features, [512]);
    assert_eq!(
        (enlisted.reasons[0].reason.as_str(), enlisted.synthetic),
        ("unreadable-image", true)
    );
    assert!(enlisted.device.starts_with("cpu") && enlisted.preprocess_json[0].contains("crop"));
    assert!(coordinator.stages().contains(&v1::Stage::Checking));
    // The network's weights alone have 45 MB: they were in a child.
    #[cfg(target_os = "linux")]
    {
        let status = std::fs::read_to_string(format!("/proc/{}/status", running.0.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        assert!(peak < 45_000, "{peak} kB were resident");
    }

    let again = coordinator.ask("t3", v1::task::Work::Consider(consider)).await;
    let Outcome::Verdict(verdict) = again else { panic!("{again:?}") };
    assert_eq!(verdict.rows_to_extract, 0, "features are kept");
    let relisted = coordinator.ask("t4", v1::task::Work::Enlist(enlist)).await;
    let Outcome::Enlisted(relisted) = relisted else { panic!("{relisted:?}") };
    assert_eq!(relisted.lock_digest, enlisted.lock_digest, "the cohort stays frozen");

    // The same images through two backbones: what the first has is kept, and each is an input.
    let study_toml = with_second_backbone(&site.read("study.toml"), &site);
    let sites = vec![SITE.to_owned()];
    let consider = v1::Consider { study_toml: study_toml.clone(), sites: sites.clone() };
    let considered = coordinator.ask("t5", v1::task::Work::Consider(consider)).await;
    let Outcome::Verdict(verdict) = considered else { panic!("{considered:?}") };
    assert_eq!((verdict.rows_to_extract, &verdict.features[..]), (39, &[512, 1280][..]));
    let both = coordinator
        .ask_about("two", "t6", v1::task::Work::Enlist(v1::Enlist { study_toml, sites }))
        .await;
    let Outcome::Enlisted(both) = both else { panic!("{both:?}") };
    assert_eq!((both.rows, &both.features[..]), (39, &[512, 1280][..]));
    assert_eq!((both.weights_digest.len(), both.preprocess_json.len()), (2, 2));
    assert_eq!(both.weights_digest[0], enlisted.weights_digest[0]);
    assert_ne!(both.lock_digest, enlisted.lock_digest);

    let ended = site.run(&["leave", "--yes"]);
    assert_eq!((ended.code, coordinator.has_left()), (1, false), "the agent still runs: {ended:?}");
    assert!(ended.err.contains("stop it first"), "{ended:?}");
    assert_eq!(running.stop(), 0);

    for kind in ["join", "verdict", "enlisted"] {
        let lines = site.done(&["egress", "list", "--kind", kind]).out.lines().count();
        assert_eq!(lines, if kind == "join" { 1 } else { 3 }, "{kind}");
    }
    let known = site.done(&["features"]).out;
    assert_eq!(known.matches("39 images, all had features already").count(), 3, "{known}");

    assert!(lies_below(&site.path("identity"), "pem"));
    assert_eq!(site.run(&["leave"]).code, 4, "nobody confirms");
    site.done(&["leave", "--yes", "--purge"]);
    assert!(coordinator.has_left());
    assert!(!lies_below(&site.path("identity"), "pem") && !site.path("cache").exists());
    assert!(!site.path("site.toml").exists() && !site.path("studies").exists());
    assert!(site.done(&["egress", "verify"]).out.contains("leave"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_joins_once_and_only_its_own_consortium() {
    let (site, coordinator) = (Site::with_table(30), Coordinator::start().await);
    joined(&site, &coordinator).await;
    let join = |site: &Site, token: &str, more: &[&str]| {
        site.write("token", token);
        let arguments = ["join", &coordinator.address, "--token-file", "token"];
        site.run(&[&arguments[..], more].concat())
    };
    let ended = join(&site, &coordinator.token, &[]);
    assert_eq!(ended.code, 4, "{ended:?}");
    assert!(ended.err.contains("--again"), "{ended:?}");
    let ended = join(&site, &coordinator.token, &["--again"]);
    assert_eq!((ended.code, ended.err.as_str()), (2, "error: the token is spent\n"));
    assert!(lies_below(&site.path("identity"), "pem"), "the old identity stays");

    let stranger = Site::with_table(30);
    std::fs::remove_file(stranger.path("site.toml")).unwrap();
    let ended = join(&stranger, &Coordinator::start().await.token, &[]);
    assert_eq!(ended.code, 2, "{ended:?}");
    assert!(ended.err.contains("the invite is for another coordinator"), "{ended:?}");
    assert!(!stranger.path("ledger/egress.jsonl").exists(), "the token wasn't shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg(unix)]
async fn an_agent_that_was_stopped_or_killed_goes_on() {
    let (site, coordinator) = (Site::with_images(12), Coordinator::start().await);
    joined(&site, &coordinator).await;
    // Reading this image takes for ever.
    std::fs::remove_file(site.path("3.png")).unwrap();
    assert!(Command::new("mkfifo").arg(site.path("3.png")).status().unwrap().success());
    let sites = vec![SITE.to_owned()];
    let consider = v1::Consider { study_toml: site.read("study.toml"), sites };
    for id in ["t1", "t2"] {
        let mut running = Running::start(&site);
        let before = coordinator.stages().len();
        let asked = coordinator.ask(id, v1::task::Work::Consider(consider.clone()));
        let heard = async {
            while coordinator.stages().len() == before {
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        tokio::select! {
            outcome = asked => panic!("{outcome:?}"),
            () = heard => {}
        }
        match id {
            "t1" => assert_eq!(running.stop(), 0),
            _ => running.0.kill().unwrap(),
        }
    }
    std::fs::remove_file(site.path("3.png")).unwrap();
    std::fs::write(site.path("3.png"), super::made_up::png(3)).unwrap();
    let _running = Running::start(&site);
    let outcome = coordinator.ask("t3", v1::task::Work::Consider(consider)).await;
    let Outcome::Verdict(verdict) = outcome else { panic!("{outcome:?}") };
    assert_eq!((verdict.rows, verdict.set_aside), (12, 0));
}

#[test]
#[cfg(unix)]
fn a_worker_ends_with_its_parent() {
    let site = Site::new();
    // Nobody ever writes into it: whoever reads it waits.
    let pipe = site.path("pipe.png");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let order = serde_json::json!({"paths": [pipe], "threads": 1, "what": "Look"});
    let worker = || {
        let mut worker = site.command(&["features", "--worker"]);
        worker.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    };
    let mut waiting = worker();
    let mut input = waiting.stdin.take().unwrap();
    input.write_all(format!("{order}\n").as_bytes()).unwrap();
    input.flush().unwrap();
    assert!(waiting.try_wait().unwrap().is_none(), "it waits");
    drop(input);
    assert_eq!(waiting.wait().unwrap().code(), Some(1));

    let mut confused = worker();
    confused.stdin.take().unwrap().write_all(b"{}\n").unwrap();
    assert_eq!(confused.wait().unwrap().code(), Some(5));
}
