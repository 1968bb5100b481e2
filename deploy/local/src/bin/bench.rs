//! Measures a federation of real processes on this machine: how long a round takes when there is
//! next to nothing to compute, and how much memory an idle agent holds.
//!
//! ```text
//! cargo run -p wardround-local --bin bench -- [--sites 4] [--studies 5] [--wait-s 600]
//! ```
//!
//! A small table study is submitted several times; the round times are those of its reports, from
//! the question's hand-out to the total. Memory is read before the first study and `--wait-s` seconds
//! after the last one. Figures go to stdout as JSON.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::{Value, json};
use wardround_core::ids::{Role, SiteId};
use wardround_core::seed::Seed;
use wardround_local::binaries::Binaries;
use wardround_local::federation::{Federation, LOOSE, SiteSettings};
use wardround_local::process::Nursery;

/// Who submits.
const LEAD: &str = "lead";

/// Rows of each site's table.
const ROWS: u32 = 60;

const STUDY: &str = r#"format = 1
name = "Bench: a small table"
seed = 1
[target]
column = "outcome"
positive = ["1"]
negative = ["0"]
[patient]
key = "patient"
[table]
numeric = ["a", "b", "c"]
missing = "drop"
[classifier]
kind = "logistic"
c = [1.0]
[validation]
folds = 5
"#;

/// Measure round time and idle memory of a federation on this machine.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Options {
    /// Number of sites
    #[arg(long, default_value_t = 4)]
    sites: u16,
    /// How often the small study is submitted
    #[arg(long, default_value_t = 5)]
    studies: u32,
    /// Seconds without a study before memory is read
    #[arg(long, default_value_t = 10)]
    wait_s: u64,
}

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(figures) => {
            println!("{figures:#}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<Value> {
    let binaries = Binaries::build()?;
    let folder = tempfile::tempdir()?;
    let nursery = Nursery::new()?;
    let mut federation = Federation::start(folder.path(), binaries, nursery, "Bench")?;
    federation.enrol_person(LEAD, Role::Lead)?;
    let mut sites = Vec::new();
    for number in 0..options.sites {
        let site = SiteId::parse(&format!("site{number}"))?;
        federation.enrol_site(&site, &settings(folder.path(), &site, number)?)?;
        federation.start_site(&site)?;
        sites.push(site);
    }
    federation.wait_for_sites()?;
    std::thread::sleep(Duration::from_secs(options.wait_s));
    let before = resident(&federation, &sites)?;

    let file = folder.path().join("bench.toml");
    std::fs::write(&file, STUDY)?;
    let mut rounds = Vec::new();
    let mut seconds = Vec::new();
    for _ in 0..options.studies {
        let started = Instant::now();
        let id = federation.submit(LEAD, &file)?;
        federation.ask(LEAD, &["study", "wait", id.as_str()])?;
        seconds.push(started.elapsed().as_secs_f64());
        rounds.extend(round_times(&federation, id.as_str())?);
    }
    std::thread::sleep(Duration::from_secs(options.wait_s));
    let after = resident(&federation, &sites)?;
    rounds.sort_unstable();
    seconds.sort_by(f64::total_cmp);
    let (Some(longest), false) = (rounds.last(), seconds.is_empty()) else {
        bail!("no round was measured")
    };
    Ok(json!({
        "sites": options.sites,
        "rounds": rounds.len(),
        "round_ms": { "median": rounds[rounds.len() / 2],
                      "p95": rounds[rounds.len() * 95 / 100], "longest": longest },
        "study_s_median": seconds[seconds.len() / 2],
        "idle_agent_kb": { "before": before, "after": after, "waited_s": options.wait_s },
    }))
}

/// A site with a small table of its own.
fn settings(folder: &Path, site: &SiteId, number: u16) -> Result<SiteSettings> {
    let home = folder.join("tables").join(site.as_str());
    std::fs::create_dir_all(&home)?;
    let mut text = String::from("patient,outcome,a,b,c\n");
    for row in 0..ROWS {
        let draw = |what: &str| Seed(u64::from(number)).uniform(what, &[&row.to_le_bytes()]);
        let (a, b, c) = (draw("a"), draw("b"), draw("c"));
        let outcome = u8::from(a + draw("noise") > 1.0);
        text.push_str(&format!("p{row},{outcome},{a:.6},{b:.6},{c:.6}\n"));
    }
    let settings = SiteSettings::of_table(&home, LOOSE, folder.join("weights"));
    std::fs::write(&settings.manifest, text)?;
    Ok(settings)
}

fn round_times(federation: &Federation, study: &str) -> Result<Vec<u64>> {
    let report = federation.ask(LEAD, &["study", "report", study, "--format", "json"])?;
    let report: Value = serde_json::from_str(&report)?;
    let rounds = report["rounds"]["rounds"].as_array().context("a report without rounds")?;
    rounds.iter().map(|r| r["took_ms"].as_u64().context("a round without its time")).collect()
}

/// Resident memory of each agent, in kilobytes.
fn resident(federation: &Federation, sites: &[SiteId]) -> Result<Vec<u64>> {
    let of = |site: &SiteId| -> Result<u64> {
        let id = federation.site_process(site).context("a site that isn't running")?;
        let path = PathBuf::from(format!("/proc/{id}/status"));
        let status = std::fs::read_to_string(&path)
            .with_context(|| format!("can't read {} (Linux only)", path.display()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next()).context("no VmRSS")?;
        Ok(number.parse()?)
    };
    sites.iter().map(of).collect()
}
