//! `egress`: a ledger is listed, shown and verified, and a tampered one is caught.

use std::fs;

use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;
use wardround_privacy::ledger::{Durability, Ledger, Message, What, Why};

use super::made_up::Site;

/// Six lines: one to join, two polls, three for two studies.
fn site() -> Site {
    let site = Site::new();
    fs::create_dir(site.path("ledger")).unwrap();
    let path = site.path("ledger/egress.jsonl");
    let (mut ledger, _) = Ledger::open(&path, Durability::Buffered).unwrap();
    let task =
        |study: &str| Why::Task { study: StudyId::parse(study).unwrap(), task: "t1".to_owned() };
    let query = Why::Query {
        study: StudyId::parse("s2").unwrap(),
        task: "t2".to_owned(),
        query: Digest::of(b"query"),
    };
    let lines = [
        (What::Join, Why::Membership),
        (What::Poll, Why::Membership),
        (What::Verdict, task("s1")),
        (What::Poll, Why::Membership),
        (What::Enlisted, task("s2")),
        (What::Answer, query),
    ];
    for (at, (what, why)) in lines.into_iter().enumerate() {
        let message = Message::new(what, why, &vec![7; 10 * (at + 1)]);
        ledger.append(Timestamp(1_700_000_000_000), &message).unwrap();
    }
    site
}

#[test]
fn what_left_is_listed_by_study_and_kind() {
    let site = site();
    let lines = |arguments: &[&str]| site.done(arguments).out.lines().count();
    assert_eq!(lines(&["egress", "list"]), 6);
    assert_eq!(lines(&["egress", "list", "--study", "s2"]), 2);
    assert_eq!(lines(&["egress", "list", "--kind", "poll"]), 2);
    let both = ["egress", "list", "--study", "s2", "--kind", "answer", "--format", "json"];
    let data = site.done(&both).data("egress list");
    assert_eq!((data.as_array().unwrap().len(), &data[0]["sequence"]), (1, &6.into()));
    assert!(site.done(&["egress", "list"]).out.contains("2023-11-14T22:13:20"));
}

#[test]
fn one_message_is_shown_in_full() {
    let site = site();
    let text = site.done(&["egress", "show", "6"]).out;
    let query = Digest::of(b"query").to_string();
    for part in [query.as_str(), "answer", "60", "2023-11-14"] {
        assert!(text.contains(part), "{text}");
    }
    let data = site.done(&["egress", "show", "3", "--format", "json"]).data("egress show");
    assert_eq!((&data["what"], &data["why"]["study"]), (&"verdict".into(), &"s1".into()));
    let ended = site.run(&["egress", "show", "7"]);
    assert_eq!((ended.code, ended.err.as_str()), (4, "error: the ledger has no line 7\n"));
}

#[test]
fn a_whole_ledger_is_verified_and_a_tampered_one_is_caught() {
    let site = site();
    let data = site.done(&["egress", "verify", "--format", "json"]).data("egress verify");
    assert_eq!((&data["head"]["sequence"], &data["bytes"]), (&6.into(), &210.into()));
    assert_eq!(data["by_kind"]["poll"], serde_json::json!([2, 60]));
    let text = site.done(&["egress", "verify"]).out;
    let head = text.lines().find_map(|line| line.strip_prefix("head ")).unwrap().to_owned();
    site.done(&["egress", "verify", "--head", &head]);

    let whole = site.read("ledger/egress.jsonl");
    let cut = whole.lines().take(5).map(|line| format!("{line}\n")).collect::<String>();
    site.write("ledger/egress.jsonl", &cut);
    site.done(&["egress", "verify"]);
    let ended = site.run(&["egress", "verify", "--head", &head]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("line 6: the remembered line 6 is missing"), "{ended:?}");

    site.write("ledger/egress.jsonl", &whole.replace("\"verdict\"", "\"failure\""));
    let ended = site.run(&["egress", "verify"]);
    assert_eq!(ended.code, 1);
    assert!(ended.err.contains("line 3: the text doesn't match its hash"), "{ended:?}");
    let ended = site.run(&["egress", "verify", "--format", "json"]);
    let error: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((&error["format"], &error["error"]["code"]), (&1.into(), &"failed".into()));
    assert_eq!(site.run(&["egress", "list"]).code, 1);
}

#[test]
fn without_a_ledger_nothing_has_left() {
    let ended = Site::new().run(&["egress", "verify"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("nothing has left"), "{ended:?}");
}
