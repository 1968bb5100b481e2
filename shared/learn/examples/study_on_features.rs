//! Runs a study on features that were extracted elsewhere, one place holding all sites: the
//! yardstick of a federation, and a way to look at the driver without images.
//!
//! ```text
//! cargo run -p wardround-learn --example study_on_features -- \
//!     FEATURES.npy MANIFEST.csv --target diagnosis --positive mel --patient lesion_id --site site \
//!     --classifier 'kind = "logistic"; c = [0.001, 0.003, 0.01]; standardise = ["all", "site"]'
//! ```
//!
//! The classifier is what a study file has under `[classifier]`, its lines separated by `;`; several, to
//! be compared, by `|`.
//!
//! `FEATURES.npy` holds one row of `f4` per line of the manifest. Subgroups are `sex` and `age`
//! where the manifest has them. `--weights FILE` writes the final model's standardised weights and
//! constant, `--fold-column FILE` the fold of each line. `--mode feature-rows` takes the rows to one place first
//! (folds are others then). `--judge 'judge = "patient"; combine = "max"'` judges patients by their images. Everything is printed, nothing is suppressed: for data of one's own.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Instant;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_learn::findings::{
    Comparison, Difference, Figure, FinalFit, FinalFourier, FinalKernel, FinalLinear, Findings,
    Interval,
};
use wardround_learn::rows::{Patient, RowsBuilder};
use wardround_learn::study::{Observer, StudyEvent, plan, run};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let (features, manifest) = (
        args.next().ok_or("FEATURES.npy is missing")?,
        args.next().ok_or("MANIFEST.csv is missing")?,
    );
    let rest: Vec<String> = args.collect();
    let mut options: BTreeMap<&str, &str> = [
        ("--target", "diagnosis"),
        ("--positive", "mel"),
        ("--patient", "lesion_id"),
        ("--site", "site"),
        ("--classifier", "kind = \"logistic\"; c = [0.001, 0.003, 0.01]"),
        ("--folds", "5"),
        ("--seed", "1"),
        ("--leave-one-site-out", "yes"),
        ("--weights", ""),
        ("--fold-column", ""),
        ("--mode", "sums"),
        ("--judge", "judge = \"image\""),
    ]
    .into();
    for pair in rest.chunks(2) {
        let [name, value] = pair else { return Err(format!("{} has no value", pair[0]).into()) };
        *options.get_mut(name.as_str()).ok_or(format!("unknown option {name}"))? = value;
    }

    let (width, numbers) = read_npy(&std::fs::read(features)?)?;
    let study = study(&options)?;
    let schema = study.schema(width as u32);
    let mut builder = RowsBuilder::new(schema.clone());
    let mut reader = csv::Reader::from_path(manifest)?;
    let header = reader.headers()?.clone();
    let column = |name: &str| header.iter().position(|h| h == name);
    let need = |name: &str| column(name).ok_or(format!("the manifest has no column {name}"));
    let (target, patient) = (need(options["--target"])?, need(options["--patient"])?);
    let site = need(options["--site"])?;
    let subgroups: Vec<usize> =
        study.subgroups.iter().map(|s| need(&s.column)).collect::<Result<_, _>>()?;
    for (record, row) in reader.records().zip(numbers.chunks_exact(width)) {
        let record = record?;
        let class = study.target.classes.of_cell(&record[target]).ok_or("unknown label")?;
        let levels: Vec<u8> =
            study.subgroups.iter().zip(&subgroups).map(|(s, &at)| s.level(&record[at])).collect();
        let site = SiteId::parse(&record[site])?;
        let (issuer, key) = (site.to_string(), record[patient].to_owned());
        builder.add(Patient { site, issuer, key }, class, &levels, row)?;
    }
    let rows = builder.build()?;
    let sites = rows.sites();
    println!("{} rows of {width} features at {} sites", rows.len(), sites.len());
    if !options["--fold-column"].is_empty() {
        let mut folds = vec![0; rows.len()];
        let column = rows.fold_column(&study.fold_plan(), 0);
        rows.rows().zip(&column).for_each(|(row, fold)| folds[row.source] = *fold);
        let lines: Vec<String> = folds.iter().map(|fold| format!("{fold}\n")).collect();
        std::fs::write(options["--fold-column"], lines.concat())?;
    }
    println!("{:?}", plan(&study, std::slice::from_ref(&schema), &sites)?);
    let started = Instant::now();
    let id = StudyId::parse("features")?;
    let watch = Watch(started);
    let findings = futures::executor::block_on(run(
        &rows,
        &study,
        &id,
        &sites,
        std::slice::from_ref(&schema),
        &watch,
    ))?;
    show(&findings);
    compare(&findings);
    if !options["--weights"].is_empty() {
        let model = findings.targets[0]
            .model
            .fitted
            .linear()
            .ok_or("only linear models have weights of features")?;
        let numbers = model.weights.iter().chain([&model.intercept]);
        let lines: Vec<String> = numbers.map(|w| format!("{w:e}\n")).collect();
        std::fs::write(options["--weights"], lines.concat())?;
    }
    println!("{:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

struct Watch(Instant);

impl Observer for Watch {
    fn event(&self, event: &StudyEvent) {
        if !matches!(event, StudyEvent::Asked { .. }) {
            eprintln!("{:7.1} s  {event:?}", self.0.elapsed().as_secs_f64());
        }
    }
}

/// Width and numbers of a two-dimensional `<f4` array (NEP 1, version 1.0).
fn read_npy(bytes: &[u8]) -> Result<(usize, Vec<f64>), Box<dyn Error>> {
    let length = bytes.get(8..10).ok_or("no NPY file")?;
    let data = 10 + usize::from(u16::from_le_bytes([length[0], length[1]]));
    let header = std::str::from_utf8(bytes.get(10..data).ok_or("a cut NPY file")?)?;
    if !header.contains("'<f4'") || header.contains("True") {
        return Err("expected '<f4' in C order".into());
    }
    let shape = header.split('(').nth(1).and_then(|s| s.split(')').next()).ok_or("no shape")?;
    let width = shape.split(',').nth(1).ok_or("expected two dimensions")?.trim().parse()?;
    let number = |b: &[u8]| f64::from(f32::from_le_bytes([b[0], b[1], b[2], b[3]]));
    Ok((width, bytes[data..].chunks_exact(4).map(number).collect()))
}

fn study(options: &BTreeMap<&str, &str>) -> Result<Study, Box<dyn Error>> {
    let each: Vec<&str> = options["--classifier"].split('|').collect();
    let head = if each.len() == 1 { "[classifier]" } else { "[[classifier]]" };
    let each = each.iter().map(|one| format!("{head}\n{}\n", one.replace(';', "\n")));
    let classifiers = each.collect::<String>();
    let leave_one_site_out = options["--leave-one-site-out"] == "yes";
    Ok(Study::parse(&format!(
        r#"
format = 1
name = "features"
seed = {seed}
[target]
column = "{target}"
{classes}
[patient]
key = "{patient}"
[subgroups]
sex = {{ values = ["female", "male"] }}
age = {{ bands = [0, 40, 60] }}
[images]
backbone = "extracted elsewhere"
{classifiers}
[validation]
folds = {folds}
leave_one_site_out = {leave_one_site_out}
{judge}
[federation]
mode = "{mode}"
"#,
        mode = options["--mode"],
        judge = options["--judge"].replace(';', "\n"),
        seed = options["--seed"],
        target = options["--target"],
        classes = match options["--positive"].split(',').collect::<Vec<_>>()[..] {
            [positive] => format!("positive = [\"{positive}\"]"),
            ref several => format!("one_vs_rest = {several:?}"),
        },
        patient = options["--patient"],
        folds = options["--folds"],
    ))?)
}

fn show(findings: &Findings) {
    for target in &findings.targets {
        println!("\n{} against the rest", findings.classes[usize::from(target.class)]);
        println!("  the site alone: {}", text(&target.site_only_auc));
        for (point, result) in findings.grid.iter().zip(&target.used_for_choosing) {
            println!(
                "  {} (used for choosing): within sites {}, one list {}",
                point.line(),
                text(&result.auc_within_sites),
                text(&result.auc_one_list)
            );
        }
        let judged = &target.nested.judged;
        println!("  nested: within sites {}", text(&judged.auc_within_sites));
        let named = findings.sites.iter().map(ToString::to_string).zip(&judged.by_site);
        let groups =
            findings.subgroups.iter().zip(&judged.by_subgroup).flat_map(|(names, cells)| {
                names.levels.iter().map(|level| format!("{} {level}", names.name)).zip(cells)
            });
        for (name, f) in
            std::iter::once(("one list".to_owned(), &judged.one_list)).chain(named).chain(groups)
        {
            println!(
                "  {name:16} patients {:?} images {:?} AUC {} sens {} spec {} Brier {} ECE {}",
                f.patients,
                f.rows,
                text(&f.auc),
                text(&f.sensitivity),
                text(&f.specificity),
                text(&f.brier),
                text(&f.ece)
            );
        }
        for choice in &target.nested.choices {
            println!(
                "  fold {} chose point {} and threshold {:.4}",
                choice.fold, choice.point, choice.threshold
            );
        }
        for left_out in &target.left_out {
            let points: Vec<String> = left_out.auc_by_point.iter().map(text).collect();
            println!(
                "  left out {}: chose point {}, AUC {}; by point {}",
                findings.sites[usize::from(left_out.site)],
                left_out.point,
                text(&left_out.figures.auc),
                points.join(", ")
            );
        }
        for (point, _) in findings.grid.iter().enumerate() {
            if let Some(stopped) = target.trees.of(point) {
                println!("  point {point} stopped early: {stopped:?}");
            }
        }
        let model = &target.model;
        println!("  final: point {}, threshold {:.4}", model.point, model.threshold);
        if let Some(FinalLinear { weights, .. }) = model.fitted.linear() {
            let not_zero = weights.iter().filter(|weight| **weight != 0.0).count();
            println!("  {not_zero} of {} weights not 0", weights.len());
        }
        match &model.fitted {
            FinalFit::Linear(FinalLinear { steps, gradient, .. })
            | FinalFit::Fourier(FinalFourier { steps, gradient, .. }) => {
                println!("  {steps} steps, gradient {gradient:e} per row");
            }
            FinalFit::Kernel(FinalKernel { model, violation }) => {
                let vectors = model.coefficients.len();
                println!("  {vectors} support vectors, optimality missed by {violation:e}");
            }
            FinalFit::Trees(_) | FinalFit::Ensemble(_) => {}
        }
    }
    println!("\n{:?}", findings.cost);
}

fn compare(findings: &Findings) {
    let Comparison::Several(compared) = &findings.comparison else { return };
    println!("chosen: {}", compared.classifiers[compared.chosen].name);
    println!("its AUC without the advantage of having been chosen: {}", text(&compared.estimate));
    for one in &compared.classifiers {
        println!("  {:30} AUC {}, {:?}", one.name, text(&one.auc), one.cost);
        for class in &one.classes {
            let all = &class.nested.judged.one_list;
            println!(
                "    {}: in one list AUC {}, Brier {}, ECE {}",
                findings.classes[usize::from(class.class)],
                text(&all.auc),
                text(&all.brier),
                text(&all.ece)
            );
        }
    }
    for Difference { first, second, auc, p } in &compared.differences {
        let [first, second] = [first, second].map(|&at| &compared.classifiers[at].name);
        println!("  {first} less {second}: {}, p = {:.4}", text(auc), p.unwrap_or(f64::NAN));
    }
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
