//! `study plan`: what a study would cost and which sites would refuse it.

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use wardround_proto::v1;

use super::file;
use crate::cli::connect::{Output, Remote};
use crate::cli::output::{Answer, Failure, table};

/// For the estimate of time: a hospital's link, in bytes per second (20 Mbit/s).
const LINK: f64 = 2.5e6;
/// For the estimate of time: images that a site without GPU turns into features in a second.
const IMAGES: f64 = 25.0;
/// For the estimate of time: the least that a round takes, in seconds.
const ROUND: f64 = 0.2;

/// What a study would cost and which sites would refuse it; starts nothing (leads)
#[derive(Debug, Args)]
pub struct Plan {
    /// The study file
    file: PathBuf,
    #[command(flatten)]
    remote: Remote,
    #[command(flatten)]
    pub(super) output: Output,
}

impl Plan {
    /// Runs it.
    pub async fn run(self) -> Result<Answer, Failure> {
        let (study_toml, _) = file::read(&self.file)?;
        let request = v1::PlanStudyRequest { study_toml };
        let reply = self
            .remote
            .within(async {
                Ok(self.remote.connect().await?.plan_study(request).await?.into_inner())
            })
            .await?;
        let data: Value = serde_json::from_str(&reply.plan_json)
            .map_err(|error| Failure::internal(format!("the plan can't be read: {error}")))?;
        let text = text(&data);
        Ok(Answer::Data { data, text })
    }
}

fn text(plan: &Value) -> String {
    let mut lines = vec![format!("{}", plan["study"].as_str().unwrap_or("study"))];
    let cost = &plan["cost"];
    let number = |value: &Value| value.as_f64().unwrap_or(0.0);
    let sites = plan["sites"].as_array().map(Vec::as_slice).unwrap_or_default();
    if cost.is_null() {
        lines.push("No site said how many features there are: costs are unknown.".into());
    } else {
        let at_most = cost["bound"] == "at-most";
        lines.push(format!(
            "{} models in {} {} rounds; per site about {} down, {} up, {} numbers sent; \
             {} numbers per model at most in one round",
            cost["models"],
            if at_most { "at most about" } else { "about" },
            cost["queries"],
            bytes(number(&cost["bytes_down_per_site"])),
            bytes(number(&cost["bytes_up_per_site"])),
            cost["numbers_per_site"],
            cost["widest_numbers_per_model"],
        ));
        if let Some(models) = cost["models_at_each_site"].as_u64() {
            lines.push(format!("each site fits {models} models to its own rows besides, locally"));
        }
        let extract = sites.iter().map(|site| number(&site["cohort"]["rows_to_extract"]));
        let travel = number(&cost["bytes_down_per_site"]) + number(&cost["bytes_up_per_site"]);
        let seconds =
            extract.fold(0.0, f64::max) / IMAGES + travel / LINK + number(&cost["queries"]) * ROUND;
        lines.push(format!(
            "about {} over links of 20 Mbit/s, at {IMAGES} images a second",
            duration(seconds)
        ));
    }
    if cost["exactness"] == "inexact" {
        lines.push(
            "bagged-forest is inexact: each tree is of one site's patients, and the forest isn't that of all \
             patients together."
                .into(),
        );
    }
    if cost["bound"] == "at-most" {
        lines.push(
            "Models may stop early or leave a race: that is the most that it can cost.".into(),
        );
    }
    let proposals = cost["proposals"].as_array().map(Vec::as_slice).unwrap_or_default();
    lines.extend(proposals.iter().map(proposal));
    let combinations = cost["combinations"].as_array().map(Vec::as_slice).unwrap_or_default();
    if combinations.len() > 1 {
        let rows: Vec<Vec<String>> = combinations.iter().map(of_combination).collect();
        let header = ["combination", "models", "rounds", "down per site", "up per site"];
        lines.push(String::new());
        lines.push(table(&header, &rows));
    }
    let rows: Vec<Vec<String>> = sites.iter().map(row).collect();
    let header =
        ["site", "connected", "patients", "rows", "set aside", "filtered out", "to extract"];
    lines.push(String::new());
    lines.push(table(&header, &rows));
    let refusals: Vec<&str> = sites
        .iter()
        .filter_map(|site| site["refusals"].as_array())
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    lines.push(String::new());
    match refusals.as_slice() {
        [] => lines.push("No connected site refuses.".into()),
        refusals => {
            lines.push("Refused:".into());
            lines.extend(refusals.iter().map(|refusal| format!("  {refusal}")));
        }
    }
    lines.join("\n")
}

/// One sentence: what to write, and what it would then cost.
fn proposal(proposal: &Value) -> String {
    let word = |key: &str| proposal[key].as_str().unwrap_or("?").to_owned();
    let size = |key: &str| bytes(proposal[key].as_f64().unwrap_or(0.0));
    format!(
        "{} alone exchanges {} with each site: columns = {}, or reduce = [\"{}\"], under its \
         [classifier] would make it about {}.",
        word("name"),
        size("bytes_per_site"),
        proposal["columns"],
        word("reduce"),
        size("bytes_per_site_then"),
    )
}

fn of_combination(planned: &Value) -> Vec<String> {
    let count = |key: &str| planned[key].as_u64().map_or("-".to_owned(), |n| n.to_string());
    let size = |key: &str| bytes(planned[key].as_f64().unwrap_or(0.0));
    vec![
        planned["name"].as_str().unwrap_or("?").to_owned(),
        count("models"),
        count("queries"),
        size("bytes_down_per_site"),
        size("bytes_up_per_site"),
    ]
}

fn row(site: &Value) -> Vec<String> {
    let connected = if site["connected"].as_bool() == Some(true) { "yes" } else { "no" };
    let mut row = vec![site["site"].as_str().unwrap_or("?").to_owned(), connected.to_owned()];
    for key in ["patients", "rows", "set_aside", "filtered_out", "rows_to_extract"] {
        row.push(site["cohort"][key].as_u64().map_or("-".to_owned(), |count| count.to_string()));
    }
    row
}

fn bytes(count: f64) -> String {
    let units = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    match units.iter().find(|(size, _)| count >= *size) {
        Some((size, unit)) => format!("{:.1} {unit}", count / size),
        None => format!("{count:.0} B"),
    }
}

fn duration(seconds: f64) -> String {
    match seconds {
        s if s < 90.0 => format!("{s:.0} s"),
        s if s < 5400.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.1} h", s / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plan_shows_costs_cohorts_and_refusals() {
        let plan = json!({
            "format": 1, "study": "Melanoma", "features": 1280,
            "cost": { "queries": 60, "models": 90, "bytes_down_per_site": 6e8, "bytes_up_per_site": 4e8,
                      "numbers_per_site": 50_000_000, "widest_numbers_per_model": 1281 },
            "sites": [
                { "site": "a", "connected": true, "refusals": ["a refuses: wide_sums"],
                  "cohort": { "patients": 10, "rows": 12, "set_aside": 1, "filtered_out": 0, "rows_to_extract": 5000 } },
                { "site": "b", "connected": false, "refusals": [], "cohort": null },
            ],
        });
        let text = text(&plan);
        assert!(text.contains("90 models in about 60 rounds"), "{text}");
        assert!(text.contains("600.0 MB down, 400.0 MB up"), "{text}");
        // 5000 / 25 + 1e9 / 2.5e6 + 60 * 0.2 = 612 s.
        assert!(text.contains("about 10 min"), "{text}");
        assert!(
            text.contains("a     yes        10        12    1          0             5000"),
            "{text}"
        );
        assert!(text.contains("b     no         -"), "{text}");
        assert!(!text.contains("combination"), "{text}");
        let mut several = plan.clone();
        several["cost"]["combinations"] = json!([
            { "name": "logistic", "models": 30, "queries": 41, "bytes_down_per_site": 2e6, "bytes_up_per_site": 3e6 },
            { "name": "forest", "models": 60, "queries": 90, "bytes_down_per_site": 4e6, "bytes_up_per_site": 5e8 },
        ]);
        let several = super::text(&several);
        assert!(
            several.contains("logistic     30      41      2.0 MB         3.0 MB"),
            "{several}"
        );
        assert!(
            several.contains("forest       60      90      4.0 MB         500.0 MB"),
            "{several}"
        );
        let mut much = plan.clone();
        much["cost"]["proposals"] = json!([{
            "name": "boosting", "bytes_per_site": 3.2e9, "reduce": "univariate:64", "columns": 64,
            "bytes_per_site_then": 8e8,
        }]);
        let sentence = "boosting alone exchanges 3.2 GB with each site: columns = 64, or reduce = \
                        [\"univariate:64\"], under its [classifier] would make it about 800.0 MB.";
        assert!(super::text(&much).contains(sentence));
        assert!(text.ends_with("Refused:\n  a refuses: wide_sums"), "{text}");
        let mut bounded = plan.clone();
        bounded["cost"]["bound"] = "at-most".into();
        bounded["cost"]["exactness"] = "inexact".into();
        let bounded = super::text(&bounded);
        assert!(bounded.contains("90 models in at most about 60 rounds"), "{bounded}");
        assert!(bounded.contains("bagged-forest is inexact"), "{bounded}");
        assert!(!text.contains("at most about") && !text.contains("inexact"), "{text}");
    }
}
