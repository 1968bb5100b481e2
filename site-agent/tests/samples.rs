//! What `deploy/` hands to a hospital, held against this program: the sample of `site.toml`, the unit,
//! the container and the pages with commands.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use wardround_core::study::Study;
use wardround_privacy::policy::{FeatureRows, Policy, Rule};
use wardround_site::config::{Home, Issuer, SiteConfig, Threads};

/// How a page calls this program.
const CALLS: &[&str] = &[
    "wardround-site ",
    "sudo -u wardround-site wardround-site ",
    "docker compose run --rm -T site-a ",
];

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn read(name: &str) -> String {
    let path = deploy(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn parse(text: &str) -> SiteConfig {
    SiteConfig::parse(text, &Home::new("/var/lib/wardround-site"))
        .unwrap_or_else(|mistakes| panic!("{mistakes}\nin\n{text}"))
}

/// A commented default begins with '#' and, at once, the key.
fn default_in(line: &str) -> Option<&str> {
    let setting = line.strip_prefix('#')?;
    setting.starts_with(|c: char| c.is_ascii_lowercase()).then_some(setting)
}

fn example_in(line: &str) -> Option<&str> {
    line.strip_prefix("# Example: ")
}

/// The sample with each line replaced by what `uncomment` makes of it.
fn with(uncomment: impl Fn(&str) -> Option<&str>) -> String {
    let sample = read("samples/site.toml");
    sample.lines().map(|line| uncomment(line).unwrap_or(line).to_owned() + "\n").collect()
}

#[test]
fn the_sample_allows_what_an_empty_file_allows() {
    let config = parse(&read("samples/site.toml"));
    assert_eq!(config.coordinator.address.to_string(), "coordinator.example:8443");
    assert_eq!(config.policy, Policy::default());
    let least = "[coordinator]\naddress = \"coordinator.example:8443\"\n\
                 [data]\nmanifest = \"/srv/images/manifest.csv\"\n";
    assert_eq!(config, parse(least));
}

#[test]
fn the_sample_names_every_default_as_it_is() {
    let sample = read("samples/site.toml");
    let defaults: Vec<&str> = sample.lines().filter_map(default_in).collect();
    assert_eq!(defaults.len(), 17, "{defaults:#?}");
    let plain = parse(&sample);
    // One by one, so that a wrong one is named, and all together.
    for default in &defaults {
        let changed = with(|line| default_in(line).filter(|setting| setting == default));
        assert_eq!(parse(&changed), plain, "{default}");
    }
    assert_eq!(parse(&with(default_in)), plain);
}

#[test]
fn the_examples_of_the_sample_are_read() {
    let usable = parse(&with(example_in));
    assert_eq!(usable.data.issuer, Issuer::Named("heart-registry".to_owned()));
    assert!(matches!(usable.data.image_threads, Threads::Exactly(_)));
    assert_eq!(usable.columns.header("diagnosis"), "Diagnose");
    assert_eq!(usable.columns.header("patient_id"), "Fall-Nr.");
    assert_eq!(usable.policy.feature_rows, FeatureRows::Allowed);
    let loosened: Vec<Rule> = usable.policy.loosenings().iter().map(|l| l.rule).collect();
    assert_eq!(loosened, [Rule::FeatureRows]);
}

#[test]
fn the_sample_names_every_key_of_the_reader() {
    let known = |text: &str| -> BTreeSet<String> {
        let mistakes = SiteConfig::parse(text, &Home::new("/h")).unwrap_err().to_string();
        let line = mistakes.lines().find(|line| line.contains("'zzz'")).unwrap();
        let keys = line.split("known here: ").nth(1).unwrap();
        keys.split(", ").map(|key| key.trim_matches(['[', ']']).to_owned()).collect()
    };
    let sample = read("samples/site.toml");
    let sections: BTreeSet<String> = sample
        .lines()
        .filter_map(|line| line.strip_prefix('[')?.strip_suffix(']'))
        .map(str::to_owned)
        .collect();
    assert_eq!(sections, known("zzz = 1\n"));
    for section in sections.iter().filter(|section| *section != "columns") {
        let part = sample.split(&format!("\n[{section}]\n")).nth(1).unwrap();
        let named: BTreeSet<String> = part
            .lines()
            .take_while(|line| !line.starts_with('['))
            .filter_map(|line| {
                let setting = default_in(line).or_else(|| example_in(line)).unwrap_or(line);
                let (key, _) = setting.split_once(" = ").filter(|_| !setting.starts_with('#'))?;
                Some(key.to_owned())
            })
            .collect();
        assert_eq!(named, known(&format!("[{section}]\nzzz = 1\n")), "[{section}]");
    }
}

#[test]
fn letting_rows_out_takes_the_rules_own_words() {
    let sample = read("samples/site.toml");
    assert!(sample.contains(FeatureRows::Allowed.code()));
    // It could mean both pixels and patients.
    assert!(!sample.to_lowercase().contains("pooled"));
    let short = sample.replace("#feature_rows = \"refused\"", "feature_rows = \"allowed\"");
    assert_ne!(short, sample);
    assert!(SiteConfig::parse(&short, &Home::new("/h")).is_err());
}

#[test]
fn the_trial_sites_loosen_one_rule() {
    let trial = parse(&read("samples/compose-site.toml"));
    let loosened: Vec<Rule> = trial.policy.loosenings().iter().map(|l| l.rule).collect();
    assert_eq!(loosened, [Rule::WideSums]);
    assert!(read("compose.yaml").contains("./samples/compose-site.toml:/site/site.toml:ro"));
}

#[test]
fn the_shipped_studies_are_studies() {
    let studies: Vec<PathBuf> =
        std::fs::read_dir(deploy("studies")).unwrap().map(|file| file.unwrap().path()).collect();
    assert!(!studies.is_empty());
    for file in studies {
        let study = Study::parse(&std::fs::read_to_string(&file).unwrap());
        assert!(study.is_ok(), "{}: {}", file.display(), study.unwrap_err());
    }
}

/// What the program says to arguments: with `--help` behind them they are only looked at.
fn is_understood(arguments: &[String]) -> bool {
    let looked = Command::new(env!("CARGO_BIN_EXE_wardround-site"))
        .args(arguments)
        .arg("--help")
        .output()
        .expect("cargo has built the program");
    looked.status.success()
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_isnt_an_argument_is_noticed() {
    assert!(is_understood(&words("run --log-format json")));
    assert!(!is_understood(&words("run --no-such-option")));
    assert!(!is_understood(&words("walk")));
}

#[test]
fn the_unit_starts_the_agent_in_its_own_folder() {
    let unit = read("systemd/wardround-site.service");
    let starts: Vec<&str> = values(&unit, "ExecStart");
    let [start] = starts.as_slice() else { panic!("{starts:?}") };
    let arguments = start.strip_prefix("/usr/local/bin/wardround-site ").unwrap();
    assert!(is_understood(&words(arguments)), "{arguments}");
    // The one folder that the unit may write is the one that it names as home.
    let [folder] = values(&unit, "StateDirectory")[..] else { panic!("{unit}") };
    assert!(arguments.contains(&format!("--home /var/lib/{folder} ")), "{arguments}");
    assert_eq!(values(&unit, "ProtectSystem"), ["strict"]);
    assert_eq!(values(&unit, "KillMode"), ["mixed"]);
}

#[test]
fn containers_start_the_agent() {
    let file = read("container/site.Containerfile");
    let of = |what: &str| -> Vec<String> {
        let line = file.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    assert_eq!(of("ENTRYPOINT "), ["wardround-site"]);
    assert!(is_understood(&of("CMD ")));
    assert!(file.lines().any(|line| line.starts_with("USER 10001")));
    let compose = read("compose.yaml");
    let site = compose.split("x-site:").nth(1).unwrap();
    let command = site.lines().find_map(|line| line.trim().strip_prefix("command: ")).unwrap();
    assert!(is_understood(&serde_json::from_str::<Vec<String>>(command).unwrap()), "{command}");
}

#[test]
fn commands_in_pages_are_understood() {
    for page in ["README.md", "local/README.md"] {
        let commands = commands(&read(page));
        assert!(!commands.is_empty(), "{page}");
        for command in commands {
            assert!(is_understood(&words(&command)), "{page}: wardround-site {command}");
        }
    }
}

/// The values of a unit's key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The arguments of every call in a page's code blocks; comments and redirections are the shell's.
fn commands(page: &str) -> Vec<String> {
    let parts = page.split("```").skip(1).step_by(2).flat_map(|block| block.split(['\n', '|']));
    let calls = parts
        .filter_map(|part| CALLS.iter().find_map(|start| part.trim_start().strip_prefix(start)));
    calls.map(|call| call.split(['#', '<', '>']).next().unwrap_or_default().to_owned()).collect()
}
