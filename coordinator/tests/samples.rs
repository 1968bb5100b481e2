//! What `deploy/` starts a coordinator with, held against this program: the unit with its sample of
//! an environment, the container, the compose file, the shipped studies, the pages with commands.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use wardround::cli::command;
use wardround_core::study::Study;

/// How a page calls this program.
const CALLS: &[&str] = &["wardround ", "docker compose exec -T coordinator wardround "];

fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)
}

fn read(name: &str) -> String {
    let path = deploy(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What the command line says to arguments; asking for help is no mistake.
fn understood(arguments: &[String]) -> Result<(), String> {
    let call = std::iter::once("wardround".to_owned()).chain(arguments.iter().cloned());
    match command().try_get_matches_from(call) {
        Err(error) if error.use_stderr() => Err(error.to_string()),
        _ => Ok(()),
    }
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn what_isnt_an_argument_is_noticed() {
    assert_eq!(understood(&words("serve --data d --host h")), Ok(()));
    assert!(understood(&words("serve --data d --host h --no-such-option")).is_err());
    assert!(understood(&words("serve --data d")).unwrap_err().contains("--host"));
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

#[test]
fn the_unit_starts_a_coordinator_with_the_samples_settings() {
    let unit = read("systemd/wardround.service");
    let settings = environment(&read("samples/coordinator.env"));
    let [start] = values(&unit, "ExecStart")[..] else { panic!("{unit}") };
    let mut call = start.split_whitespace();
    assert_eq!(call.next(), Some("/usr/local/bin/wardround"));
    // Each `${NAME}` is one argument, whatever it holds.
    let arguments: Vec<String> = call
        .map(|word| match word.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => {
                settings.get(name).unwrap_or_else(|| panic!("{name} is in no sample")).clone()
            }
            None => word.to_owned(),
        })
        .collect();
    assert_eq!(understood(&arguments), Ok(()));
    let unused: Vec<&String> =
        settings.keys().filter(|name| !start.contains(&format!("${{{name}}}"))).collect();
    assert!(unused.is_empty(), "{unused:?}");
    let [folder] = values(&unit, "StateDirectory")[..] else { panic!("{unit}") };
    let data = arguments.iter().skip_while(|word| *word != "--data").nth(1).unwrap();
    assert_eq!(*data, format!("/var/lib/{folder}"));
}

#[test]
fn containers_start_a_coordinator() {
    let file = read("container/coordinator.Containerfile");
    let of = |what: &str| -> Vec<String> {
        let line = file.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        serde_json::from_str(line).unwrap()
    };
    assert_eq!(of("ENTRYPOINT "), ["wardround"]);
    assert_eq!(understood(&of("CMD ")), Ok(()));
    assert!(file.lines().any(|line| line.starts_with("USER 10001")));
    let compose = read("compose.yaml");
    let service = compose.split("\n  coordinator:\n").nth(1).unwrap();
    let line = service.lines().find_map(|line| line.trim().strip_prefix("command: ")).unwrap();
    let arguments: Vec<String> = serde_json::from_str(line).unwrap();
    assert_eq!(arguments[0], "serve");
    assert_eq!(understood(&arguments), Ok(()));
}

#[test]
fn commands_in_pages_are_understood() {
    for page in ["README.md", "local/README.md"] {
        let commands = commands(&read(page));
        assert!(!commands.is_empty(), "{page}");
        for command in commands {
            assert_eq!(understood(&words(&command)), Ok(()), "{page}: wardround {command}");
        }
    }
}

/// The values of a unit's key, in order.
fn values<'a>(unit: &'a str, key: &str) -> Vec<&'a str> {
    unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// The variables of an environment file.
fn environment(file: &str) -> BTreeMap<String, String> {
    file.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()))
        .collect()
}

/// The arguments of every call in a page's code blocks; comments and redirections are the shell's.
fn commands(page: &str) -> Vec<String> {
    let parts = page.split("```").skip(1).step_by(2).flat_map(|block| block.split(['\n', '|']));
    let calls = parts
        .filter_map(|part| CALLS.iter().find_map(|start| part.trim_start().strip_prefix(start)));
    calls.map(|call| call.split(['#', '<', '>']).next().unwrap_or_default().to_owned()).collect()
}
