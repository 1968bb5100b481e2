//! `backbones`: the list, and a filter.

use super::made_up::Site;

#[test]
fn backbones_are_listed_and_filtered() {
    let site = Site::new();
    let all = site.done(&["backbones", "--format", "json"]).data("backbones");
    let names = |data: &serde_json::Value| {
        let names = data.as_array().unwrap().iter().map(|entry| entry["name"].as_str().unwrap());
        names.map(str::to_owned).collect::<Vec<_>>()
    };
    let all_names = names(&all);
    assert!(all_names.iter().any(|name| name == "resnet18"));
    let resnet18 = all.as_array().unwrap().iter().find(|e| e["name"] == "resnet18").unwrap();
    // He et al. 2016, table 1: 1.8 billion multiply-adds, of which the classifier isn't one.
    let flops = resnet18["flops"].as_f64().unwrap();
    assert!((3.5e9..3.8e9).contains(&flops), "{flops}");
    assert_eq!((&resnet18["features"], &resnet18["non_commercial"]), (&512.into(), &false.into()));
    let some = names(&site.done(&["backbones", "ReSNet", "--format", "json"]).data("backbones"));
    assert!(!some.is_empty() && some.len() < all_names.len());
    assert!(some.iter().all(|name| all_names.contains(name)));
    let text = site.done(&["backbones"]).out;
    assert_eq!(text.lines().count(), all_names.len() + 1);
    assert!(text.starts_with("name"), "{text}");
    let ended = site.run(&["backbones", "nothing-like-it"]);
    assert_eq!(ended.code, 4);
}
