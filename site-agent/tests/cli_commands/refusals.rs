//! What can't work ends with a sentence and the exit code that says whose turn it is.

use super::made_up::Site;

#[test]
fn mistyped_commands_and_options_are_bad_input() {
    let site = Site::new();
    for arguments in [
        &["chek"][..],
        &["check", "--stdy", "x"],
        &["egress", "list", "--kind", "mail"],
        &["egress", "show", "first"],
        &["egress", "verify", "--head", "7"],
        &["join", "http://c.example", "--token-file", "x"],
        &["join", "c.example", "--token", "wr1.x"],
        &["run", "--log-format", "xml"],
        &[],
    ] {
        let ended = site.run(arguments);
        assert_eq!((ended.code, ended.out.as_str()), (4, ""), "{arguments:?}: {ended:?}");
        assert!(!ended.err.is_empty());
    }
    assert!(site.run(&["chek"]).err.contains("'check'"));
    assert_eq!(site.run(&["--help"]).code, 0);
    assert_eq!(site.run(&["--version"]).out, "wardround-site 0.1.0\n");
}

#[test]
fn missing_files_are_named() {
    let site = Site::new();
    let ended = site.run(&["check"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("can't read the manifest"), "{ended:?}");
    let ended = site.run(&["check", "--study", "no.toml", "--format", "json"]);
    assert_eq!(ended.code, 4);
    let error: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(error["error"]["code"], "bad-input");
    assert!(error["error"]["sentence"].as_str().unwrap().contains("no.toml"));
    std::fs::remove_file(site.path("site.toml")).unwrap();
    for command in ["check", "run", "features", "leave"] {
        let ended = site.run(&[command]);
        assert_eq!(ended.code, 4, "{ended:?}");
        assert!(ended.err.contains("site.toml") && ended.err.contains("join"), "{ended:?}");
    }
}

#[test]
fn mistakes_of_the_site_file_have_their_places() {
    let site = Site::new();
    site.write("site.toml", "[coordinator]\naddress = 3\n[data]\nsynthetic = \"yes\"\n");
    let ended = site.run(&["check"]);
    assert_eq!(ended.code, 4);
    for part in [
        "site.toml has mistakes:",
        "\n2:11: ",
        "\n4:13: data.synthetic",
        "\n3:1: [data] has no 'manifest'",
    ] {
        assert!(ended.err.contains(part), "{part}: {ended:?}");
    }
}

#[test]
fn who_has_not_joined_cannot_run_or_leave() {
    let site = Site::with_table(30);
    for arguments in [&["run"][..], &["leave", "--yes"]] {
        let ended = site.run(arguments);
        assert_eq!(ended.code, 2, "{ended:?}");
        assert!(ended.err.contains("join a consortium first"), "{ended:?}");
    }
}

#[test]
fn joining_needs_a_token_and_a_coordinator() {
    let site = Site::new();
    // A valid form: 32 zero bytes and 16 of a root.
    let token = format!("wr1.{}.{}", "A".repeat(43), "0".repeat(32));
    let join = |token: Option<&str>| {
        let mut command = site.command(&["join"]);
        if let Some(token) = token {
            command.env("WARDROUND_TOKEN", token);
        }
        super::made_up::Ended::of(command.output().unwrap())
    };
    let ended = join(None);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("--token-file, or set WARDROUND_TOKEN"), "{ended:?}");
    let ended = join(Some("wr1.half"));
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("copied whole"), "{ended:?}");
    // Port 1 of this machine: nobody listens.
    let ended = join(Some(&token));
    assert_eq!(ended.code, 2);
    assert!(ended.err.contains("localhost:1 can't be reached"), "{ended:?}");
    assert!(!site.path("ledger/egress.jsonl").exists(), "nothing left, so nothing is noted");
    let ended = site.run(&["join", "other.example"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("names the coordinator localhost:1"), "{ended:?}");
}

#[test]
fn lists_for_people_and_shells() {
    let site = Site::new();
    let data = site.done(&["backbones", "lite0", "--format", "json"]).data("backbones");
    assert_eq!(data[0]["name"], "efficientnet_lite0");
    assert_eq!(data[0]["features"], 1280);
    for shell in ["bash", "fish", "zsh"] {
        assert!(site.done(&["completions", shell]).out.contains("egress"));
    }
}
