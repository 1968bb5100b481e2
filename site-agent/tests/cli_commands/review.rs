//! `review`: a site's own errors, sorted and counted.

use serde_json::Value;

use super::explain::{is_private, is_self_contained, site};

#[test]
fn errors_are_sorted_and_counted() {
    let site = site(14);
    // A column of subgroups beside the label; row 3 is no image.
    let mut manifest = String::from("path,ill,key,sex\n");
    for at in 0..14 {
        manifest +=
            &format!("{at}.png,{},p{at},{}\n", ["yes", "no"][at % 2], ["f", "m", "?"][at % 3]);
    }
    site.write("manifest.csv", &manifest);
    let study = site
        .read("study.toml")
        .replace("[images]", "[subgroups.sex]\nvalues = [\"f\", \"m\"]\n[images]");
    site.write("study.toml", &study);

    // A threshold between the probabilities, so that there are errors of both kinds.
    let arguments = ["predict", "--model", "model.bundle", "--manifest", "manifest.csv"];
    let predicted: Vec<(usize, f64)> = site
        .done(&arguments)
        .out
        .lines()
        .skip(1)
        .enumerate()
        .filter_map(|(at, line)| Some((at, line.split(',').nth(1)?.parse().ok()?)))
        .collect();
    assert_eq!(predicted.len(), 13);
    let mut sorted: Vec<f64> = predicted.iter().map(|(_, p)| *p).collect();
    sorted.sort_by(f64::total_cmp);
    let threshold = f64::midpoint(sorted[6], sorted[7]);
    super::explain::with_threshold(&site, threshold);

    let review = ["review", "--model", "model.bundle", "--study", "study.toml", "--out", "review"];
    let more = ["--limit", "2", "--by", "sex", "--format", "json"];
    let ended = site.done(&[&review[..], &more].concat());
    let data = ended.data("review");
    assert_eq!((&data["rows"], &data["not_judged"]), (&13.into(), &0.into()));

    let found: Value = serde_json::from_str(&site.read("review/review.json")).unwrap();
    let class = &found["classes"][0];
    let is_ill = |at: usize| at.is_multiple_of(2);
    let kind = |ill: bool, called: bool| -> Vec<(usize, f64)> {
        let of = |(at, p): &&(usize, f64)| is_ill(*at) == ill && (*p >= threshold) == called;
        predicted.iter().filter(of).copied().collect()
    };
    for (name, ill, called) in [
        ("true_positives", true, true),
        ("false_positives", false, true),
        ("true_negatives", false, false),
        ("false_negatives", true, false),
    ] {
        let mut rows = kind(ill, called);
        assert_eq!(class["counts"][name], rows.len(), "{name}");
        rows.sort_by(|a, b| if called { b.1.total_cmp(&a.1) } else { a.1.total_cmp(&b.1) });
        let expected: Vec<Value> =
            rows.iter().take(2).map(|(at, _)| format!("p{at}, line {}", at + 2).into()).collect();
        assert_eq!(class["lists"][name], Value::from(expected), "{name}");
    }
    assert!(!kind(false, true).is_empty() && !kind(true, false).is_empty());
    let of_level = class["subgroups"].as_array().unwrap().iter().map(|level| {
        let counts = level["counts"].as_object().unwrap();
        counts.values().map(|count| count.as_u64().unwrap()).sum::<u64>()
    });
    // Rows 0, 3 (no image), 6, 9, 12; 1, 4, 7, 10, 13; the rest.
    assert_eq!(of_level.collect::<Vec<_>>(), [4, 5, 4]);

    // The errors of each level, in the same order as those of all.
    for (level, name) in ["f", "m", "unknown"].into_iter().enumerate() {
        let by = &class["by"][level];
        assert_eq!((&by["subgroup"], &by["level"]), (&"sex".into(), &name.into()));
        for (list, ill, called) in
            [("false_positives", false, true), ("false_negatives", true, false)]
        {
            let mut rows = kind(ill, called);
            rows.retain(|(at, _)| at % 3 == level);
            rows.sort_by(|a, b| if called { b.1.total_cmp(&a.1) } else { a.1.total_cmp(&b.1) });
            let expected: Vec<Value> = rows
                .iter()
                .take(2)
                .map(|(at, _)| format!("p{at}, line {}", at + 2).into())
                .collect();
            assert_eq!(by[list], Value::from(expected), "{name}: {list}");
        }
    }
    // What is usual of a class is the mean over the rows labelled so.
    let of_class: Vec<f64> =
        predicted.iter().filter(|(at, _)| is_ill(*at)).map(|(_, p)| *p).collect();
    let mean = of_class.iter().sum::<f64>() / of_class.len() as f64;
    let suspects = &class["label_suspects"];
    assert!((suspects["class_threshold"].as_f64().unwrap() - mean).abs() < 1e-6, "{suspects}");
    let listed = suspects["rows"].as_array().unwrap().len() as u64;
    assert_eq!(listed, suspects["count"].as_u64().unwrap().min(2));

    let page = site.read("review/review.html");
    is_self_contained(&page);
    is_private(&site.path("review"));
    for part in [
        "False positives",
        "False negatives",
        "Near the threshold",
        "sex: m",
        "sex: unknown",
        "False negatives \u{2013} yes, sex: f",
        "Labels that may be wrong",
    ] {
        assert!(page.contains(part), "{part}");
    }
    // Whoever stands in two lists is drawn once: two pictures per row, and the scale.
    let shown = found["shown"].as_array().unwrap().len();
    assert_eq!(page.matches("<img ").count(), 2 * shown + 1);
}

#[test]
fn a_cohort_is_needed() {
    let site = site(6);
    assert_eq!(site.run(&["review", "--model", "model.bundle", "--out", "r"]).code, 4);
    let by = ["review", "--model", "model.bundle", "--study", "study.toml", "--out", "r"];
    let ended = site.run(&[&by[..], &["--by", "sex"]].concat());
    assert!(ended.code == 4 && ended.err.contains("no subgroups"), "{ended:?}");
    let table = site.read("study.toml");
    let (before, rest) = table.split_once("[images]").unwrap();
    let (_, after) = rest.split_once("[classifier]").unwrap();
    let table =
        format!("{before}[table]\nnumeric = [\"a\"]\nmissing = \"drop\"\n[classifier]{after}");
    site.write("table.toml", &table);
    let ended =
        site.run(&["review", "--model", "model.bundle", "--out", "r", "--study", "table.toml"]);
    assert!(ended.code == 4 && ended.err.contains("not images"), "{ended:?}");
}
