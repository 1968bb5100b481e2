//! How long a study of many sites and patients takes with all its intervals, and how much memory: classifiers compared on the same
//! folds, subgroups, a thousand draws of the patients, the report with its page. Sites answer in this process, one after the other.
//!
//! ```text
//! cargo bench -p wardround-tests --bench report -- [--sites 20] [--patients 200000] [--draws 1000]
//! ```

use std::error::Error;
use std::sync::Mutex;
use std::time::Instant;

use serde_json::json;
use wardround::report::{Context, DataKind, Report, SiteContext, WeightsDigest};
use wardround_core::class_set::ClassSet;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::seed::Seed;
use wardround_core::study::Study;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Together};
use wardround_learn::study::{Observer, StudyEvent, run};
use wardround_privacy::judge::Aggregation;
use wardround_privacy::policy::{Policy, WideSums};

const COLUMNS: usize = 8;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| -> Result<usize, Box<dyn Error>> {
        match arguments.iter().position(|argument| argument == name) {
            Some(at) => Ok(arguments.get(at + 1).ok_or("a number is missing")?.parse()?),
            None => Ok(default),
        }
    };
    let (sites, patients) = (number("--sites", 20)?, number("--patients", 200_000)?);
    let study = Study::parse(&text(number("--draws", 1000)?))?;
    let begun = Instant::now();
    let rows = rows(&study, sites, patients)?;
    let (names, schema, cohort) = (rows.sites(), rows.schema().clone(), Together(rows.by_site()));
    let made = begun.elapsed().as_secs_f64();
    let id = StudyId::parse("bench")?;
    let phases = Phases::default();
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    let findings = runtime.block_on(run(&cohort, &study, &id, &names, &[schema], &phases))?;
    let studied = begun.elapsed().as_secs_f64();
    let report = Report::build(&findings, &context(study, id, &names))?;
    let page = report.to_html().len() + report.to_json().len() + report.to_text().len();
    let written = begun.elapsed().as_secs_f64();
    println!(
        "{:#}",
        json!({
            "sites": sites,
            "patients": patients,
            "rows_made_s": made,
            "study_s": studied - made,
            "report_s": written - studied,
            "report_bytes": page,
            "most_memory_mb": most_memory()?,
            "phases": phases.seconds(),
        })
    );
    Ok(())
}

fn text(draws: usize) -> String {
    let columns: Vec<String> = (0..COLUMNS).map(|k| format!("\"x{k}\"")).collect();
    format!(
        "format = 1\nname = \"Bench: many sites\"\nseed = 1\n\
         [target]\ncolumn = \"outcome\"\npositive = [\"1\"]\nnegative = [\"0\"]\n\
         [patient]\nkey = \"patient\"\n\
         [subgroups.sex]\nvalues = [\"female\", \"male\"]\n\
         [subgroups.age]\nbands = [0, 40, 60, 75]\n\
         [table]\nnumeric = [{}]\nmissing = \"drop\"\n\
         [[classifier]]\nkind = \"logistic\"\nc = [0.01, 1]\n\
         [[classifier]]\nkind = \"linear-svm\"\nc = [0.01]\n\
         [[classifier]]\nkind = \"ridge\"\nalpha = [10]\n\
         [[classifier]]\nkind = \"lda\"\nshrinkage = [0.1]\n\
         [[classifier]]\nkind = \"nearest-mean\"\n\
         [validation]\nfolds = 5\nbootstrap = {draws}\n",
        columns.join(", ")
    )
}

/// Patients with one or two rows that are alike.
fn rows(study: &Study, sites: usize, patients: usize) -> Result<Rows, Box<dyn Error>> {
    let mut builder = RowsBuilder::new(study.schema(u32::try_from(COLUMNS)?));
    for patient in 0..patients {
        let mut bits = Seed(7).bits("patient", &[&patient.to_le_bytes()]) | 1;
        let mut draw = || {
            // Xorshift (Marsaglia 2003).
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            (bits >> 11) as f64 / (1u64 << 53) as f64
        };
        let site = SiteId::parse(&format!("site{:02}", patient % sites))?;
        let positive = draw() < 0.2;
        let levels = [u8::from(draw() < 0.5), (5.0 * draw()) as u8];
        let own = draw();
        for _ in 0..1 + usize::from(draw() < 0.3) {
            let feature = |k: usize| {
                let shift = if positive { 0.1 * (k % 4) as f64 } else { 0.0 };
                own + draw() + shift
            };
            let features: Vec<f64> = (0..COLUMNS).map(feature).collect();
            let (issuer, key) = (site.to_string(), format!("p{patient}"));
            let patient = Patient { site: site.clone(), issuer, key };
            let class = ClassSet::only(u8::from(positive));
            builder.add(patient, class, &levels, &features)?;
        }
    }
    Ok(builder.build()?)
}

fn context(study: Study, study_id: StudyId, sites: &[SiteId]) -> Context {
    let site = |site: &SiteId| SiteContext {
        site: site.clone(),
        policy: Policy { wide_sums: WideSums::Allowed, ..Policy::default() },
        lock: Digest::of(site.as_str().as_bytes()),
        device: "none".to_owned(),
        set_aside: Vec::new(),
        dominated: Vec::new(),
        rounds: 0,
        numbers_sent: 0,
        numbers_held: 0,
        bytes_up: 0,
        bytes_down: 0,
    };
    Context {
        study,
        study_id,
        software: "bench".to_owned(),
        data: DataKind::Synthetic,
        aggregation: Aggregation::Plain,
        sites: sites.iter().map(site).collect(),
        rounds: Vec::new(),
        attempts: Vec::new(),
        bundle: Digest::of(b"bundle"),
        weights: WeightsDigest::NoBackbone,
        journal_head: Digest::of(b"journal"),
        reports: Vec::new(),
    }
}

/// The most that this process ever had in memory.
fn most_memory() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM")?;
    let kib: u64 = line.split_whitespace().nth(1).ok_or("no number in VmHWM")?.parse()?;
    Ok(kib / 1024)
}

/// When each phase began.
#[derive(Default)]
struct Phases(Mutex<Vec<(String, Instant)>>);

impl Observer for Phases {
    fn event(&self, event: &StudyEvent) {
        let name = match event {
            StudyEvent::Phase { name, .. } => (*name).to_owned(),
            StudyEvent::Combination { name, .. } => name.clone(),
            _ => return,
        };
        if let Ok(mut phases) = self.0.lock() {
            phases.push((name, Instant::now()));
        }
    }
}

impl Phases {
    /// Each with the seconds that it took.
    fn seconds(&self) -> Vec<(String, f64)> {
        let Ok(phases) = self.0.lock() else { return Vec::new() };
        let ends = phases.iter().skip(1).map(|(_, at)| *at).chain([Instant::now()]);
        let all = phases.iter().zip(ends);
        all.map(|((name, from), to)| (name.clone(), to.duration_since(*from).as_secs_f64()))
            .collect()
    }
}
