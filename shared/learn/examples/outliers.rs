//! How well a study's distance tells a foreign data set from its own: the AUC of the distance, and what `predict` would flag.
//!
//! ```text
//! WARDROUND_FEATURES=own.f32 cargo run -p wardround-vision --example extract -- OWN/images
//! WARDROUND_FEATURES=foreign.f32 cargo run -p wardround-vision --example extract -- FOREIGN/images
//! cargo run -p wardround-learn --example outliers -- OWN/manifest.csv own.f32 foreign.f32
//! ```
//!
//! The manifest has the columns `path` and `label` (0 or 1); rows of features stand in the order of the images' names. Each image is a
//! patient, and they are dealt to three sites. Own rows' distances are cross-fitted: each by the measure of the other folds.

use std::error::Error;
use std::path::Path;

use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_learn::bundle::{BundleInput, ModelBundle};
use wardround_learn::findings::Outliers;
use wardround_learn::metrics::ScoreHistogram;
use wardround_learn::metrics::ranking::roc_auc;
use wardround_learn::rows::{Patient, RowsBuilder};
use wardround_learn::study::{Silent, run};

const STUDY: &str = r#"
format = 1
name = "Outliers"
seed = 1
[target]
column = "label"
positive = ["1"]
negative = ["0"]
[patient]
key = "path"
[images]
backbone = "efficientnet_lite0"
[classifier]
kind = "logistic"
c = [0.001]
[validation]
folds = 5
outliers = true
bootstrap = false
"#;

/// Sites that images are dealt to.
const SITES: usize = 3;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [manifest, own, foreign] = arguments.as_slice() else {
        return Err("usage: outliers MANIFEST.csv OWN.f32 FOREIGN.f32".into());
    };
    let mut labels: Vec<(String, String)> = Vec::new();
    let text = std::fs::read_to_string(manifest)?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().ok_or("an empty manifest")?.split(',').collect();
    let column = |name: &str| {
        header.iter().position(|one| *one == name).ok_or(format!("no column '{name}'"))
    };
    let (path, label) = (column("path")?, column("label")?);
    for line in lines {
        let cells: Vec<&str> = line.split(',').collect();
        labels.push((cells[path].to_owned(), cells[label].to_owned()));
    }
    labels.sort();
    let own = numbers(Path::new(own))?;
    let width = own.len() / labels.len();
    if width * labels.len() != own.len() {
        return Err(format!("{} numbers for {} images", own.len(), labels.len()).into());
    }

    let study = Study::parse(STUDY)?;
    let schema = study.schema(width as u32);
    let mut builder = RowsBuilder::new(schema.clone());
    for (at, ((path, label), features)) in labels.iter().zip(own.chunks_exact(width)).enumerate() {
        let site = SiteId::parse(&format!("site-{}", at % SITES))?;
        let patient = Patient { issuer: site.to_string(), site, key: path.clone() };
        let class = study.target.classes.of_cell(label).ok_or("a label is neither 0 nor 1")?;
        builder.add(patient, class, &[], features)?;
    }
    let rows = builder.build()?;
    let (id, sites) = (StudyId::parse("outliers")?, rows.sites());
    let found = futures::executor::block_on(run(
        &rows,
        &study,
        &id,
        &sites,
        std::slice::from_ref(&schema),
        &Silent,
    ))?;
    let Outliers::Measured(measured) = &found.outliers else {
        return Err(format!("no distance: {:?}", found.outliers).into());
    };
    let input = BundleInput::Images {
        backbone: "efficientnet_lite0".to_owned(),
        weights_source: "shipped".to_owned(),
        weights_digest: study.digest,
        preprocessing: serde_json::Value::Null,
        precision: Default::default(),
        views: Default::default(),
    };
    let bundle = ModelBundle::new(&study, &found, input, "example");
    println!("{} rows of {width} features, bundle of {} bytes", rows.len(), bundle.write()?.len());

    let mut histogram = ScoreHistogram::empty(measured.bins);
    for (bin, rows) in measured.by_site.iter().flat_map(|site| site.iter().enumerate()) {
        let middle = measured.bins.lower_edge(bin)
            + measured.bins.half_width / f64::from(measured.bins.count);
        (0..*rows).for_each(|_| histogram.add(middle, false));
    }
    let (mut flagged, mut all) = (0, 0);
    for features in numbers(Path::new(foreign))?.chunks_exact(width) {
        let said = bundle.outlier(features)?.ok_or("the bundle knows no distance")?;
        histogram.add(2.0 * said.distance.ln(), true);
        flagged += usize::from(said.outlier);
        all += 1;
    }
    println!(
        "AUC of the distance, own rows cross-fitted against foreign ones: {:.4}",
        roc_auc(&histogram)?
    );
    println!("{flagged} of {all} foreign rows are flagged");
    let steps = measured.steps(&found.profile);
    let (limit, share) = steps.last().ok_or("too few rows")?;
    println!("limit {:.3}, {:.2} % of own rows are nearer", limit.sqrt(), 100.0 * share);
    Ok(())
}

/// Numbers of a file of little-endian 32-bit floats.
fn numbers(path: &Path) -> Result<Vec<f64>, Box<dyn Error>> {
    let bytes = std::fs::read(path)?;
    let (numbers, []) = bytes.as_chunks::<4>() else {
        return Err(format!("{} is cut off", path.display()).into());
    };
    Ok(numbers.iter().map(|four| f64::from(f32::from_le_bytes(*four))).collect())
}
