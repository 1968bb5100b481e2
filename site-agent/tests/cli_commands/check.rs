//! `check`: counts, all problems at once, and when a site is stopped.

use serde_json::json;

use super::made_up::Site;

#[test]
fn a_good_site_is_ready() {
    let site = Site::with_table(60);
    let text = site.done(&["check", "--study", "study.toml"]).out;
    for line in ["class yes", "sex m", "ready", "2 have problems, 0 lack values, 60 take part"] {
        assert!(text.contains(line), "{text}");
    }
    let data = site.done(&["check", "--study", "study.toml", "--format", "json"]).data("check");
    assert_eq!(data["verdict"], "ready");
    assert_eq!(data["classes"][1], json!({"name": "yes", "patients": 20, "rows": 20}));
    assert_eq!(data["subgroups"][0]["levels"][1]["rows"], 30);
    assert_eq!(data["set_aside"], 2);
}

#[test]
fn too_many_problems_stop_a_site_and_all_are_listed() {
    let site = Site::with_table(4);
    let ended = site.run(&["check", "--study", "study.toml"]);
    assert_eq!(ended.code, 4);
    for part in ["'perhaps'", "no patient key", "stopped: 2 of 6 rows have problems"] {
        assert!(ended.out.contains(part), "{ended:?}");
    }
    let ended = site.run(&["check", "--study", "study.toml", "--format", "json"]);
    assert_eq!(ended.code, 4);
    assert_eq!(ended.data("check")["rows_set_aside"].as_array().unwrap().len(), 2);
}

#[test]
fn every_missing_column_is_named() {
    let site = Site::with_table(60);
    site.write("manifest.csv", "key,il,a\np,yes,1\n");
    let ended = site.run(&["check", "--study", "study.toml"]);
    assert_eq!(ended.code, 4);
    for part in ["did you mean 'il'?", "no column 'sex'", "no column 'b'"] {
        assert!(ended.out.contains(part), "{ended:?}");
    }
}

#[test]
fn an_image_that_is_none_is_named() {
    let site = Site::with_images(12);
    let ended = site.done(&["check", "--study", "study.toml"]);
    assert!(ended.out.contains("1 x unreadable image: line 5"), "{ended:?}");
    assert!(ended.out.contains("3.png"), "{ended:?}");
    // It was mended: what is wrong is looked at again, what was seen isn't.
    std::fs::copy(site.path("4.png"), site.path("3.png")).unwrap();
    let ended = site.done(&["check", "--study", "study.toml"]);
    assert!(ended.out.contains("the same image for several patients"), "{ended:?}");
}

#[test]
fn without_a_study_the_site_file_is_checked() {
    let site = Site::with_table(60);
    let text = site.done(&["check"]).out;
    assert!(text.contains("62 rows, columns key, ill, sex, a, b"), "{text}");
    assert!(text.contains("wide_sums = allowed (default secure-aggregation-only)"), "{text}");
    let data = site.done(&["check", "--format", "json"]).data("check");
    assert_eq!((&data["rows"], &data["columns"][4]), (&62.into(), &"b".into()));
}
