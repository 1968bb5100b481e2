//! How long linear studies take at four sites on loopback, beside the same study on the same rows in one
//! place, both in one run.
//!
//! ```text
//! cargo bench -p wardround-tests --bench fits -- [--rows 8000] [--columns 1280] [--repeats 3]
//! ```
//!
//! Sites, coordinator and the comparison share the machine's cores. A federated study counts from when it
//! runs to its end, less its first round, in which sites read their tables; what is left of the ratio to one
//! place once a round trip per round is taken off is the cost of processes, encryption, journal and ledgers.
//! A round trip is the study's shortest round. Of several repeats the one in the middle counts.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};
use wardround_core::ids::{Role, SiteId, StudyId};
use wardround_core::seed::Seed;
use wardround_core::study::Study;
use wardround_learn::rows::{Patient, Rows, RowsBuilder};
use wardround_learn::study::{Silent, run};
use wardround_local::binaries::Binaries;
use wardround_local::federation::{Federation, LOOSE, SiteSettings};
use wardround_local::process::Nursery;

const LEAD: &str = "lead";
const SITES: usize = 4;

const CLASSIFIERS: [(&str, &str); 4] = [
    ("logistic", "kind = \"logistic\"\nc = [0.001]"),
    ("linear-svm", "kind = \"linear-svm\"\nc = [0.0003]"),
    ("ridge", "kind = \"ridge\"\nalpha = [10000]"),
    ("lda", "kind = \"lda\"\nshrinkage = [0.3]"),
];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| -> Result<usize, Box<dyn Error>> {
        match arguments.iter().position(|argument| argument == name) {
            Some(at) => Ok(arguments.get(at + 1).ok_or("a number is missing")?.parse()?),
            None => Ok(default),
        }
    };
    let repeats = number("--repeats", 3)?.max(1);
    let table = Made { rows: number("--rows", 8000)?, columns: number("--columns", 1280)? };
    let folder = tempfile::tempdir()?;
    let mut federation =
        Federation::start(folder.path(), Binaries::build()?, Nursery::new()?, "Bench")?;
    federation.enrol_person(LEAD, Role::Lead)?;
    for site in 0..SITES {
        let name = site_id(site)?;
        federation.enrol_site(&name, &table.settings(folder.path(), site)?)?;
        federation.start_site(&name)?;
    }
    federation.wait_for_sites()?;
    let mut figures = Vec::new();
    for (name, classifier) in CLASSIFIERS {
        let toml = table.study(classifier);
        let file = folder.path().join("study.toml");
        std::fs::write(&file, &toml)?;
        let once = |_| once(&federation, &table, name, &file, &toml);
        let mut of_classifier: Vec<(f64, Value)> =
            (0..repeats).map(once).collect::<Result<_, _>>()?;
        of_classifier.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        figures.push(of_classifier.swap_remove(repeats / 2).1);
    }
    let Made { rows, columns } = table;
    println!("{:#}", json!({ "rows": rows, "columns": columns, "sites": SITES, "fits": figures }));
    Ok(())
}

/// A study at the sites and in one place: the ratio of their times, with what else is known.
fn once(
    federation: &Federation,
    table: &Made,
    name: &str,
    file: &Path,
    toml: &str,
) -> Result<(f64, Value), Box<dyn Error>> {
    let id = federation.submit(LEAD, file)?;
    let federated = seconds_of(federation, &id)?;
    let Rounds { count: rounds, first, trip, longest } = Rounds::of(federation, &id)?;
    let federated = federated - first;
    let study = Study::parse(toml)?;
    let rows = table.in_one_place(&study)?;
    let alone = Instant::now();
    let (sites, schemas) = (rows.sites(), [rows.schema().clone()]);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    runtime.block_on(run(&rows, &study, &id, &sites, &schemas, &Silent))?;
    let alone = alone.elapsed().as_secs_f64();
    let ratio = (federated - rounds as f64 * trip) / alone;
    let figure = json!({
        "classifier": name,
        "federated_s": federated,
        "one_place_s": alone,
        "rounds": rounds,
        "round_trip_ms": trip * 1000.0,
        "ratio_less_round_trips": ratio,
        "longest_round": longest,
    });
    eprintln!("{figure}");
    Ok((ratio, figure))
}

fn site_id(site: usize) -> Result<SiteId, Box<dyn Error>> {
    Ok(SiteId::parse(&format!("site{site}"))?)
}

/// Rows like a backbone's features: many columns with a little of the outcome in some of them.
struct Made {
    rows: usize,
    columns: usize,
}

impl Made {
    fn study(&self, classifier: &str) -> String {
        let columns: Vec<String> = (0..self.columns).map(|k| format!("\"x{k}\"")).collect();
        format!(
            "format = 1\nname = \"Bench: many columns\"\nseed = 1\n\
             [target]\ncolumn = \"outcome\"\npositive = [\"1\"]\nnegative = [\"0\"]\n\
             [patient]\nkey = \"patient\"\n\
             [table]\nnumeric = [{}]\nmissing = \"drop\"\n\
             [classifier]\n{classifier}\n[validation]\nfolds = 5\n",
            columns.join(", ")
        )
    }

    /// A row's outcome and features, with as many digits as a table has.
    fn row(&self, row: usize) -> (u8, Vec<f64>) {
        let mut bits = Seed(7).bits("row", &[&row.to_le_bytes()]) | 1;
        let mut draw = || {
            // Xorshift (Marsaglia 2003).
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            (bits >> 11) as f64 / (1u64 << 53) as f64 - 0.5
        };
        let outcome = u8::from(draw() > 0.38);
        let common = draw();
        let feature = |k: usize| {
            let shift = if k.is_multiple_of(9) { 0.06 * f64::from(outcome) } else { 0.0 };
            let value = draw() + shift + common * (k % 5) as f64 * 0.2;
            (value * 1e4).round() / 1e4
        };
        (outcome, (0..self.columns).map(feature).collect())
    }

    fn of_site(&self, site: usize) -> impl Iterator<Item = usize> {
        (0..self.rows).filter(move |row| row % SITES == site)
    }

    fn settings(&self, folder: &Path, site: usize) -> Result<SiteSettings, Box<dyn Error>> {
        let home = folder.join("tables").join(format!("site{site}"));
        std::fs::create_dir_all(&home)?;
        let mut text = String::from("patient,outcome");
        (0..self.columns).try_for_each(|k| write!(text, ",x{k}"))?;
        for row in self.of_site(site) {
            let (outcome, features) = self.row(row);
            write!(text, "\np{row},{outcome}")?;
            features.iter().try_for_each(|value| write!(text, ",{value}"))?;
        }
        text.push('\n');
        let settings = SiteSettings::of_table(&home, LOOSE, folder.join("weights"));
        std::fs::write(&settings.manifest, text)?;
        Ok(settings)
    }

    fn in_one_place(&self, study: &Study) -> Result<Rows, Box<dyn Error>> {
        let mut builder = RowsBuilder::new(study.schema(u32::try_from(self.columns)?));
        for site in 0..SITES {
            let name = site_id(site)?;
            for row in self.of_site(site) {
                let (outcome, features) = self.row(row);
                let (site, issuer) = (name.clone(), name.to_string());
                let patient = Patient { site, issuer, key: format!("p{row}") };
                builder.add(patient, outcome, &[], &features)?;
            }
        }
        Ok(builder.build()?)
    }
}

/// From when a study runs to its end, by the lines of `study watch` as they come.
fn seconds_of(federation: &Federation, id: &StudyId) -> Result<f64, Box<dyn Error>> {
    let mut watch = federation.as_person(LEAD, &["study", "watch", id.as_str()]);
    let mut child = watch.stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let lines = BufReader::new(child.stdout.take().ok_or("no stdout")?).lines();
    let mut started = None;
    for line in lines {
        if line?.contains("study is running") {
            started = Some(Instant::now());
        }
    }
    let seconds = started.ok_or("the study didn't run")?.elapsed().as_secs_f64();
    match child.wait()?.success() {
        true => Ok(seconds),
        false => Err(federation.log_end("coordinator").into()),
    }
}

/// What a study's rounds took, in seconds.
struct Rounds {
    count: usize,
    first: f64,
    /// The shortest.
    trip: f64,
    /// The longest after the first, with what it asked for.
    longest: String,
}

impl Rounds {
    fn of(federation: &Federation, id: &StudyId) -> Result<Self, Box<dyn Error>> {
        let report = federation.ask(LEAD, &["study", "report", id.as_str(), "--format", "json"])?;
        let report: Value = serde_json::from_str(&report)?;
        let rounds = report["rounds"]["rounds"].as_array().ok_or("a report without rounds")?;
        let took = |round: &Value| round["took_ms"].as_u64().unwrap_or(0);
        let (first, rest) = rounds.split_first().ok_or("no round")?;
        let longest = rest.iter().max_by_key(|round| took(round)).ok_or("one round")?;
        let shortest = rest.iter().map(took).min().ok_or("one round")?;
        Ok(Self {
            count: rounds.len(),
            first: took(first) as f64 / 1000.0,
            trip: shortest as f64 / 1000.0,
            longest: format!("{} {} ms", longest["statistic"], took(longest)),
        })
    }
}
