//! `explain`: maps of images, what they add up to, and that nothing of it leaves.

use std::fs;
use std::io::ErrorKind;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use wardround_learn::bundle::LinearScorer;

use super::bundles::{small_images, unit, write_bundle, write_ensemble, write_linear};
use super::made_up::{Ended, Site, site_file};

/// Pixels a side: a ResNet's last map has 3 x 3 places.
const SIDE: usize = 96;
const THRESHOLD: f64 = 0.4;

/// Weights that differ, and are small enough for probabilities between 0 and 1.
fn model(shift: usize) -> LinearScorer {
    let weights = (0..512).map(|at| ((at + shift) * 7 % 11) as f64 / 500.0 - 0.01).collect();
    LinearScorer { scaler: unit(512), weights, intercept: -0.25, fill: vec![] }
}

/// A site with images and a linear model of them.
pub fn site(images: usize) -> Site {
    let site = Site::with_images(images);
    with_threshold(&site, THRESHOLD);
    site
}

/// The same model with another threshold.
pub fn with_threshold(site: &Site, threshold: f64) {
    write_linear(site, small_images(site, "resnet18", SIDE), model(0), threshold);
}

fn numbers(site: &Site, file: &str) -> Value {
    serde_json::from_str(&site.read(file)).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

fn logit(probability: f64) -> f64 {
    (probability / (1.0 - probability)).ln()
}

/// What a page must and mustn't have.
pub fn is_self_contained(page: &str) {
    assert!(page.contains("default-src 'none'") || page.contains("default-src &#39;none&#39;"));
    for absent in ["<script", "<link", "http://", "https://", "@import", "url(", "onload="] {
        assert!(!page.contains(absent), "{absent}");
    }
    assert!(page.contains("must not leave the hospital"));
    let images = page.matches("<img ").count();
    assert!(images > 0);
    assert_eq!(page.matches("src=\"data:image/png;base64,").count(), images);
    assert_eq!(page.matches("alt=\"").count(), images, "every picture has a text");
    assert!(!page.contains("alt=\"\""));
}

#[cfg(unix)]
pub fn is_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    for file in fs::read_dir(folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[cfg(not(unix))]
pub fn is_private(_: &Path) {}

#[test]
fn an_exact_map_adds_up_to_the_logit() {
    let site = site(5);
    let arguments =
        ["explain", "--model", "model.bundle", "--out", "maps", "0.png", "3.png", "1.png"];
    let ended = site.done(&arguments);
    assert!(
        ended.out.starts_with("2 of 3 images explained: maps/explanations.html\n"),
        "{ended:?}"
    );
    let found = numbers(&site, "maps/explanations.json");
    let predicted = site.done(&["predict", "--model", "model.bundle", "0.png", "1.png"]).out;
    let predicted: Vec<f64> = predicted
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(1).unwrap().parse().unwrap())
        .collect();
    for (image, predicted) in [&found["images"][0], &found["images"][2]].into_iter().zip(predicted)
    {
        assert_eq!((&image["method"], &image["class"]), (&"cam".into(), &"yes".into()));
        let probability = number(&image["probability_as_it_is"]);
        assert!((probability - predicted).abs() < 1e-5, "{probability} {predicted}");
        assert!((0.01..0.99).contains(&probability), "{probability}");
        let values = image["map"]["values"].as_array().unwrap();
        assert_eq!(values.len(), 9);
        let mean = values.iter().map(number).sum::<f64>() / 9.0;
        let expected = logit(probability) - logit(THRESHOLD);
        assert!((mean - expected).abs() < 1e-4, "{mean} {expected}");
        let (deletion, insertion) = (number(&image["deletion"]), number(&image["insertion"]));
        let gain = number(&image["faithfulness"]);
        assert!(((insertion - deletion) / 2.0 - gain).abs() < 1e-12);
        assert!((0.0..=1.0).contains(&number(&image["likeness_to_shuffled"])));
    }
    let broken = &found["images"][1];
    assert!(broken["problem"].as_str().unwrap().contains("3.png"), "{broken}");
    assert_eq!(broken["map"], Value::Null);
    assert_eq!(found["trust"]["images"], 2);
    let page = site.read("maps/explanations.html");
    is_self_contained(&page);
    assert!(page.contains("Heat map over the image of 0.png: speaks most for"));
    assert!(page.contains("3.png isn\u{2019}t explained"));
    is_private(&site.path("maps"));

    let again = site.run(&arguments);
    assert_eq!(again.code, 4, "a gallery is never written over");
    assert!(again.err.contains("has files already"), "{again:?}");
}

#[test]
fn occlusion_takes_every_backbone_and_model() {
    let site = site(2);
    let explained = |arguments: &[&str], out: &str| {
        let all =
            [&["explain", "--model", "model.bundle", "--out", out, "0.png"], arguments].concat();
        site.done(&all);
        numbers(&site, &format!("{out}/explanations.json"))["images"][0].clone()
    };
    let of_linear = explained(&["--method", "occlusion"], "linear");
    assert_eq!(
        (&of_linear["method"], &of_linear["map"]["rows"]),
        (&"occlusion".into(), &14.into())
    );

    write_ensemble(&site, small_images(&site, "resnet18", SIDE), [model(0), model(3)], THRESHOLD);
    let of_ensemble = explained(&[], "ensemble");
    assert_eq!(of_ensemble["method"], "occlusion");
    let refused = site.run(&[
        "explain",
        "--model",
        "model.bundle",
        "--out",
        "no",
        "--method",
        "cam",
        "0.png",
    ]);
    assert_eq!(refused.code, 4);
    assert!(refused.err.contains("no weighted sum of features"), "{refused:?}");

    write_bundle(&site, small_images(&site, "vit_tiny_patch16_224", 64), 192, unit(192));
    assert_eq!(explained(&[], "token")["method"], "occlusion");
    let refused = site.run(&[
        "explain",
        "--model",
        "model.bundle",
        "--out",
        "no2",
        "--method",
        "cam",
        "0.png",
    ]);
    assert_eq!(refused.code, 4);
    assert!(
        refused.err.contains("class token") && refused.err.contains("occlusion"),
        "{refused:?}"
    );
}

#[test]
fn rows_of_a_cohort_carry_what_the_site_knows_of_them() {
    let site = site(6);
    let arguments =
        ["explain", "--model", "model.bundle", "--study", "study.toml", "--out", "maps"];
    let ended = site.done(&[&arguments[..], &["--limit", "2", "--format", "json"]].concat());
    let data = ended.data("explain");
    assert_eq!((&data["explained"], &data["images"]), (&2.into(), &2.into()));
    let found = numbers(&site, "maps/explanations.json");
    assert_eq!(found["images"][1]["id"], "p1, line 3");
    let page = site.read("maps/explanations.html");
    for part in
        ["3 more images are left out", "p0, line 2", "<dt>Label</dt><dd>yes</dd>", "another one"]
    {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let site = site(2);
    let run = |more: &[&str]| {
        site.run(&[&["explain", "--model", "model.bundle", "--out", "o"], more].concat())
    };
    assert_eq!(run(&[]).code, 4, "images or a study");
    let unknown = run(&["--class", "perhaps", "0.png"]);
    assert!(
        unknown.code == 4 && unknown.err.contains("no model of 'perhaps'; it has yes"),
        "{unknown:?}"
    );
    assert_eq!(run(&["3.png"]).code, 1, "no image could be explained");
    let other = site.read("study.toml").replace("[\"no\"]", "[\"never\"]");
    site.write("other.toml", &other);
    let other =
        site.run(&["explain", "--model", "model.bundle", "--out", "p", "--study", "other.toml"]);
    assert!(other.code == 4 && other.err.contains("never, yes"), "{other:?}");
}

/// `explain`, `review` and `duplicates` say nothing to anybody: the coordinator that the site knows hears nothing, no line is in a ledger, and where
/// system calls can be watched there is no socket.
#[test]
fn nothing_leaves() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let site = site(6);
    site.write("site.toml", &site_file(&address));
    let is_quiet =
        || matches!(listener.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock);
    for (out, arguments) in [
        ("a", &["explain", "0.png"] as &[&str]),
        ("b", &["explain", "--study", "study.toml", "--limit", "1", "--method", "occlusion"]),
        ("c", &["review", "--study", "study.toml", "--limit", "1"]),
        ("d", &["duplicates", "--study", "study.toml"]),
    ] {
        let model: &[&str] =
            if arguments[0] == "duplicates" { &[] } else { &["--model", "model.bundle"] };
        let all = [arguments, model, &["--out", out]].concat();
        let (ended, sockets) = watched(&site, &site.command(&all));
        // The site's pictures are alike, of several patients: that is what 1 says.
        let code = i32::from(arguments[0] == "duplicates");
        assert_eq!(ended.code, code, "{ended:?}");
        assert_eq!(sockets.unwrap_or_default(), Vec::<String>::new(), "{all:?}");
        assert!(is_quiet(), "{all:?} called the coordinator");
        assert!(!site.path("ledger").exists(), "{all:?} made a ledger");
    }
    // The controls: a command that does call the coordinator is seen, both ways.
    let mut join = site.command(&["join"]);
    join.env("WARDROUND_TOKEN", format!("wr1.{}.{}", "A".repeat(43), "0".repeat(32)));
    let mut waiting = join.spawn().unwrap();
    let heard = (0..300).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        !is_quiet()
    });
    waiting.kill().unwrap();
    waiting.wait().unwrap();
    assert!(heard, "the check hears nothing");
    drop(listener);
    let (refused, sockets) = watched(&site, &join);
    assert_eq!(refused.code, 2, "{refused:?}");
    assert!(sockets.is_none_or(|sockets| !sockets.is_empty()), "the trace shows no socket");
}

/// Runs a command, and lists the network's system calls where `strace` is there and may be used.
fn watched(site: &Site, plain: &Command) -> (Ended, Option<Vec<String>>) {
    let log = site.path("strace.log");
    // Some containers forbid tracing.
    let may = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    let may = may.is_ok_and(|status| status.success());
    if !may {
        eprintln!("strace isn't there or may not be used: sockets aren't looked for");
    }
    let mut watching = Command::new(if may { "strace" } else { "env" });
    if may {
        watching.args(["-f", "-qq", "-e", "trace=%network", "-o"]).arg(&log);
    }
    watching.arg(plain.get_program()).args(plain.get_args()).current_dir(site.path("."));
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => watching.env(name, value),
            None => watching.env_remove(name),
        };
    }
    let ended = Ended::of(watching.output().unwrap());
    let Some(calls) = may.then(|| fs::read_to_string(&log).unwrap()) else {
        return (ended, None);
    };
    // Threads of one process wake each other by no socket; `socketpair` reaches nobody else either.
    let calls = calls.lines().filter(|line| line.contains("socket(") || line.contains("connect("));
    (ended, Some(calls.map(str::to_owned).collect()))
}
