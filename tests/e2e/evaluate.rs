//! A site that joined late: a model of other sites is judged at it, over real processes, and nothing is fitted.

use wardround_core::digest::Digest;
use wardround_learn::bundle::{ModelBundle, predict};
use wardround_tests::made::{Line, MadeStudy, lines};
use wardround_tests::{Hospital, LEAD, Trial};

use crate::result::four;

/// The study that judges a bundle at some sites.
fn judging(model: &Digest, sites: &str, drift: &str) -> String {
    let toml = MadeStudy::default().toml();
    let (head, rest) = toml.split_once("[classifier]").expect("a classifier");
    let (_, federation) = rest.split_once("[federation]").expect("a federation");
    let head = head.replace("format = 1\n", "format = 1\nkind = \"evaluate\"\n");
    format!(
        "{head}[cohort]\nsites = [{sites}]\n[model]\nfile = \"model.safetensors\"\nsha256 = \"{model}\"\n\
         [validation]\nbootstrap = 100\n[drift]\n{drift}\n[federation]{federation}"
    )
}

/// AUC pair by pair and Brier score of the bundle's own probabilities.
fn in_one_place(bundle: &ModelBundle, lines: &[Line]) -> [f64; 2] {
    let scored: Vec<(bool, f64)> = lines
        .iter()
        .map(|line| (line.label == 1, predict(bundle, &line.features).expect("a probability")[0]))
        .collect();
    let of = |positive: bool| scored.iter().filter(move |(y, _)| *y == positive).map(|(_, p)| *p);
    let pairs = of(true).flat_map(|a| of(false).map(move |b| f64::from(u8::from(a > b))));
    let auc = pairs.sum::<f64>() / (of(true).count() * of(false).count()) as f64;
    let squares = scored.iter().map(|(y, p)| (p - f64::from(u8::from(*y))).powi(2));
    [auc, squares.sum::<f64>() / scored.len() as f64]
}

#[test]
fn a_site_that_joined_late_judges_a_model_that_never_saw_it() {
    let mut trial = Trial::with(&four());
    let trained = trial.submit(&MadeStudy::default().toml()).unwrap();
    trial.wait_done(&trained);
    let bytes = trial.bundle_bytes(&trained);
    let bundle = ModelBundle::read(&bytes).unwrap();
    let late = Hospital::loose("leine", lines("leine", 90));
    trial.enrol(&late);
    trial.federation.start_site(&late.site).unwrap();
    trial.federation.wait_for_sites().unwrap();

    let model = Digest::of(&bytes);
    let toml = judging(&model, "\"leine\"", "auc_below = 0.999\nbrier_above = 0.9");
    // What isn't the model is refused before anything is asked.
    for bytes in [None, Some(&bytes[..bytes.len() - 9]), Some(&b"{}"[..])] {
        if let Some(bytes) = bytes {
            std::fs::write(trial.path("model.safetensors"), bytes).unwrap();
        }
        let refusal = trial.submit(&toml).unwrap_err();
        assert!(refusal.contains("model.safetensors"), "{refusal}");
    }
    std::fs::write(trial.path("model.safetensors"), &bytes).unwrap();
    let other = trial.submit(&toml.replace(&model.to_string(), &"0".repeat(64))).unwrap_err();
    assert!(other.contains(&format!("its SHA-256 is {model}")), "{other}");
    let columns = trial.submit(&toml.replace("\"x2\"", "\"age\"")).unwrap_err();
    assert!(columns.contains("the model's is x1, x2, x3, x4"), "{columns}");

    let study = trial.submit(&toml).unwrap();
    trial.wait_done(&study);
    let report = trial.report(&study);
    let [auc, brier] = in_one_place(&bundle, &late.lines);
    let pooled = &report["pooled"][0];
    assert!((pooled["auc_one_list"]["value"].as_f64().unwrap() - auc).abs() < 3e-3, "{pooled}");
    assert!((pooled["figures"]["brier"]["value"].as_f64().unwrap() - brier).abs() < 2e-6);
    let evaluation = &report["evaluation"];
    assert_eq!(evaluation["model"], model.to_string());
    assert_eq!(evaluation["overlap"]["sites"].as_array().map(Vec::len), Some(0));
    let states: Vec<_> =
        evaluation["drift"].as_array().unwrap().iter().map(|row| row["state"].clone()).collect();
    assert_eq!(states, ["alarm", "within"]);
    let asked = report["rounds"]["rounds"].as_array().unwrap();
    let words: Vec<&str> = asked.iter().filter_map(|round| round["statistic"].as_str()).collect();
    assert!(
        words.iter().all(|word| !word.contains("gram") && !word.contains("logistic")),
        "{words:?}"
    );
    let text = trial.federation.ask(LEAD, &["study", "report", study.as_str()]).unwrap();
    assert!(text.contains("nothing was fitted here") && text.contains("Alarm:"), "{text}");

    // The archive is whole, and its report can be made again.
    let path = trial.path("judged.zip");
    let archive = path.to_str().unwrap();
    trial.federation.ask(LEAD, &["study", "export", study.as_str(), "--out", archive]).unwrap();
    let again = trial.federation.ask(LEAD, &["study", "replay", archive]).unwrap();
    assert!(again.contains(&model.to_string()) || again.contains(&model.short()), "{again}");

    // An alarm ends the command with an exit code of its own, and its words.
    let alarm = trial.federation.ask(LEAD, &["audit", "drift", study.as_str()]).unwrap_err();
    let alarm = format!("{alarm:#}");
    assert!(alarm.contains("Alarm: AUC within sites of 1"), "{alarm}");
    assert!(alarm.contains(trained.as_str()), "{alarm}");

    // Who watches the study is told as well; it is done all the same.
    let watched = trial.federation.ask(LEAD, &["study", "watch", study.as_str()]).unwrap();
    assert!(watched.contains("Alarm: AUC within sites of 1"), "{watched}");

    // Sites that had a part in the training are named.
    let calm = judging(&model, "\"alster\", \"leine\"", "brier_above = 0.9");
    let calm = trial.submit(&calm).unwrap();
    trial.wait_done(&calm);
    let sites = &trial.report(&calm)["evaluation"]["overlap"]["sites"];
    assert_eq!(sites.as_array().unwrap(), &["alster"]);
    let drift = trial.json(LEAD, &["audit", "drift", &model.to_string()]);
    let roles: Vec<_> =
        drift["studies"].as_array().unwrap().iter().map(|one| one["role"].clone()).collect();
    assert_eq!(roles, ["training", "evaluation", "evaluation"]);
}
