//! What a large site takes: made-up features, row by row, then fits and scores as a study of one site has them,
//! with the largest amount of memory that the process ever had.
//!
//! ```text
//! cargo run --release -p wardround-learn --example large_site -- \
//!     --rows 400000 --features 2048 --folder /var/tmp --classifier 'kind = "logistic"; c = [0.001, 0.01]'
//! ```
//!
//! The classifier is what a study file has under `[classifier]`, its lines separated by `;`. Coordinator and site
//! are one process here: a site alone takes less.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_learn::findings::{Figure, Interval};
use wardround_learn::rows::{Patient, RowsBuilder, Storage};
use wardround_learn::study::{Observer, StudyEvent, run};

fn main() -> Result<(), Box<dyn Error>> {
    let mut options: BTreeMap<String, String> = [
        ("--rows", "40000"),
        ("--features", "2048"),
        ("--folder", ""),
        ("--classifier", "kind = \"logistic\"; c = [0.001, 0.01]"),
        ("--folds", "5"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let rest: Vec<String> = std::env::args().skip(1).collect();
    for pair in rest.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} has no value", pair[0]).into()) };
        *options.get_mut(name).ok_or(format!("unknown option {name}"))? = value.clone();
    }
    let (rows, features): (u64, u32) = (options["--rows"].parse()?, options["--features"].parse()?);
    let storage = match options["--folder"].as_str() {
        "" => Storage::default(),
        folder => Storage::disk(folder),
    };

    let started = Instant::now();
    let study = study(&options["--classifier"], options["--folds"].parse()?)?;
    let schema = study.schema(features);
    let mut builder = RowsBuilder::new(schema.clone()).kept(storage);
    let mut row = vec![0.0; features as usize];
    for at in 0..rows {
        let site = SiteId::parse("large")?;
        // In the order of keys, as a site's agent gives them.
        let patient = Patient { site, issuer: "large".into(), key: format!("{:07}", at / 2) };
        let class = u8::from(draw(at / 2, 1 << 20) > 0.6);
        row.iter_mut().zip(0..).for_each(|(x, k)| *x = feature(at, k, class));
        builder.add(patient, class, &[], &row)?;
    }
    let rows = builder.build()?;
    println!(
        "{} rows of {features} features: {:.0} s, at most {} MiB of memory",
        rows.len(),
        started.elapsed().as_secs_f64(),
        peak()?
    );

    let started = Instant::now();
    let findings = futures::executor::block_on(run(
        &rows,
        &study,
        &StudyId::parse("large")?,
        &rows.sites(),
        std::slice::from_ref(&schema),
        &Watch(started),
    ))?;
    let judged = &findings.targets[0].nested.judged.one_list;
    println!(
        "{}: {:.0} s, {} queries, AUC {}, at most {} MiB of memory",
        options["--classifier"],
        started.elapsed().as_secs_f64(),
        findings.cost.queries,
        text(&judged.auc),
        peak()?
    );
    Ok(())
}

struct Watch(Instant);

impl Observer for Watch {
    fn event(&self, event: &StudyEvent) {
        if !matches!(event, StudyEvent::Asked { .. }) {
            let memory = peak().unwrap_or(0);
            eprintln!("{:7.1} s  {memory} MiB  {event:?}", self.0.elapsed().as_secs_f64());
        }
    }
}

/// The largest resident memory so far, in MiB.
fn peak() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).ok_or("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("an empty VmHWM")?.parse()?;
    Ok(kib >> 10)
}

fn study(classifier: &str, folds: u8) -> Result<Study, Box<dyn Error>> {
    Ok(Study::parse(&format!(
        r#"
format = 1
name = "large"
seed = 1
[target]
column = "finding"
positive = ["yes"]
[patient]
key = "patient"
[images]
backbone = "made up"
[classifier]
{}
[validation]
folds = {folds}
leave_one_site_out = false
"#,
        classifier.replace(';', "\n")
    ))?)
}

/// Of 32 bits, as a backbone's are; every 64th knows a little of the class.
fn feature(row: u64, column: u64, class: u8) -> f64 {
    let known = if column.is_multiple_of(64) { 0.3 * f64::from(class) } else { 0.0 };
    f64::from((draw(row, column) + known) as f32)
}

/// Deterministic numbers in [-1, 1); a multiplicative hash is random enough to measure with.
fn draw(a: u64, b: u64) -> f64 {
    let mixed = (a * 0x20_0000 + b + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1u64 << 52) as f64
        - 1.0
}

fn text(figure: &Figure) -> String {
    match figure {
        Figure::Known { value, interval: Interval::Between { low, high } } => {
            format!("{value:.4} ({low:.3} to {high:.3})")
        }
        Figure::Known { value, interval: Interval::NotComputed } => format!("{value:.4}"),
        Figure::Undefined { reason } => format!("undefined ({reason})"),
    }
}
