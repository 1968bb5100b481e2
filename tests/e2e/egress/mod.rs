//! Every byte that leaves a hospital stands in its ledger, and nothing of a patient is among them.
//!
//! Four sites take part in a whole study, each through a proxy of its own that ends TLS with the
//! federation's own keys and sees what a hospital's inspecting proxy would. What it saw is compared
//! with the ledger message by message.

mod checks;
mod compare;
mod images;
mod proxy;
mod search;
mod tables;
mod tap;

use std::time::{Duration, Instant};

use wardround_core::clock::{Clock, SystemClock};
use wardround_core::ids::SiteId;
use wardround_local::federation::SiteSettings;
use wardround_net::pki::Authority;
use wardround_privacy::ledger::{self, What};
use wardround_tests::{DEADLINE, Hospital, Trial, site_id};

use proxy::Proxy;
use search::Needles;

const SITES: [&str; 4] = ["north", "south", "east", "west"];

/// Kinds of messages that every study needs.
const ALWAYS: [What; 6] =
    [What::Join, What::Poll, What::Verdict, What::Enlisted, What::Answer, What::Closed];

/// A site with its proxy.
struct Watched {
    site: SiteId,
    settings: SiteSettings,
    proxy: Proxy,
    token: String,
}

#[test]
fn every_byte_that_leaves_stands_in_the_ledger() {
    let mut trial = Trial::start();
    let watched = SITES.map(|name| {
        enrol(&trial, name, |settings| {
            settings.manifest.set_file_name(tables::FILE);
            std::fs::write(&settings.manifest, tables::Hidden::draw(name).csv()).unwrap();
        })
    });
    carry_out(&mut trial, &watched, &tables::study());
    for at in &watched {
        // The answers were large enough to leave in pieces.
        checked(&trial, at, &[What::MissingChunks, What::Chunk], &|_| {
            tables::Hidden::draw(at.site.as_str()).needles()
        });
    }
    a_flipped_byte_shows(&mut trial, &watched[1]);
}

#[test]
fn nothing_of_an_image_leaves() {
    let mut trial = Trial::start();
    let watched = SITES.map(|name| {
        enrol(&trial, name, |settings| images::write(name, &settings.manifest, &settings.images))
    });
    let study = images::study(&trial.path("weights.safetensors"));
    carry_out(&mut trial, &watched, &study);
    for at in &watched {
        checked(&trial, at, &[], &|settings| images::needles(&study, settings));
    }
}

/// Enrols a site through a proxy of its own, once `fill` has written its data.
fn enrol(trial: &Trial, name: &str, fill: impl FnOnce(&mut SiteSettings)) -> Watched {
    let federation = &trial.federation;
    let site = site_id(name);
    let root = federation.data().join("pki");
    let root = Authority::open_or_create(&root, "never made", SystemClock.now()).expect("the root");
    let upstream = federation.address().parse().expect("host and port");
    let proxy = Proxy::start(upstream, &root, federation.home(&site).join("identity"));
    let mut settings = trial.settings(&Hospital::loose(name, Vec::new()));
    settings.images = federation.home(&site).join("images");
    std::fs::create_dir_all(&settings.images).expect("a folder");
    fill(&mut settings);
    federation.enrol_site_through(&site, &settings, &proxy.address()).expect("a site joins");
    let token = federation.folder().join(format!("{name}.token"));
    let token = std::fs::read_to_string(token).expect("a token").trim().to_owned();
    Watched { site, settings, proxy, token }
}

/// Runs a study to its end, then kills the agents.
fn carry_out(trial: &mut Trial, watched: &[Watched], study: &str) {
    for Watched { site, .. } in watched {
        trial.federation.start_site(site).expect("a site starts");
    }
    trial.federation.wait_for_sites().expect("sites connect");
    let study = trial.submit(study).expect("nobody refuses");
    trial.wait_done(&study);
    for Watched { site, .. } in watched {
        let path = trial.ledger(site);
        trial.wait_for(&format!("{site} to close the study"), || {
            let closed = vec![ledger::Filter::What(What::Closed)];
            let mut found = ledger::entries(&path, closed).expect("a ledger");
            found.next().map(|entry| entry.expect("a whole ledger"))
        });
    }
    for Watched { site, proxy, .. } in watched {
        trial.federation.kill_site(site);
        proxy.settle();
    }
}

/// Everything that holds for a site after a study. `needles` makes what must not have left.
fn checked(
    trial: &Trial,
    watched: &Watched,
    more: &[What],
    needles: &dyn Fn(&SiteSettings) -> Needles,
) {
    let Watched { site, settings, proxy, token } = watched;
    let requests = proxy.requests();
    let noted = compare::noted(&trial.ledger(site));
    for what in ALWAYS.iter().chain(more) {
        let is_there = noted.iter().any(|line| line.what == *what);
        assert!(is_there, "{site} sent no {what}: nothing is said about it here");
    }
    checks::as_the_ledger_says(site, &requests, &proxy.frames(), &noted);
    checks::to_the_coordinator_alone(&requests);
    checks::without(site, &requests, &needles(settings), token);
    checks::verified(trial, site, &noted);
}

/// One bit of one line is enough; then no message leaves any more.
fn a_flipped_byte_shows(trial: &mut Trial, watched: &Watched) {
    let Watched { site, proxy, .. } = watched;
    let path = trial.ledger(site);
    let good = std::fs::read(&path).expect("a ledger");
    let ends: Vec<usize> = (0..good.len()).filter(|&at| good[at] == b'\n').collect();
    let lines = ends.len();
    for line in [1, lines / 2, lines] {
        let start = if line == 1 { 0 } else { ends[line - 2] + 1 };
        let middle = (start + ends[line - 1]) / 2;
        let mut bytes = good.clone();
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).expect("a writable ledger");
        let ended = checks::said(trial, site, &["verify"]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(&format!("line {line}: ")), "{line}: {}", ended.stderr);
    }
    let before = proxy.requests().len();
    trial.federation.start_site(site).expect("a site starts");
    let until = Instant::now() + DEADLINE;
    while trial.federation.site_runs(site) {
        assert!(Instant::now() < until, "an agent runs on a broken ledger\n{}", trial.logs());
        std::thread::sleep(Duration::from_millis(50));
    }
    proxy.settle();
    assert_eq!(proxy.requests().len(), before, "it sent something");
    std::fs::write(&path, &good).expect("a writable ledger");
    assert_eq!(checks::said(trial, site, &["verify"]).code, Some(0));
}
