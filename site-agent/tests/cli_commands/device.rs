//! `device`: what there is, what is used, and whether it agrees.

use super::made_up::Site;

const QUICK: [&str; 5] = ["device", "resnet18", "--seconds", "0", "--python=no/such/python"];

fn quick<'a>(more: &[&'a str]) -> Vec<&'a str> {
    QUICK.iter().chain(more).copied().collect()
}

#[test]
fn the_cpu_agrees_with_plain_operations() {
    let site = Site::new();
    let data = site.done(&quick(&["--device", "cpu", "--format", "json"])).data("device");
    assert_eq!(
        (data["asked_for"].as_str(), data["precision"].as_str()),
        (Some("cpu"), Some("f32"))
    );
    let used = data["used"].as_str().unwrap();
    assert!(used.starts_with("cpu: compiled plan, "), "{used}");
    assert_eq!(data["devices"][0]["usable"], used);
    let check = &data["check"];
    let difference = check["agreement"]["difference"].as_f64().unwrap();
    assert!(difference > 0.0 && difference <= 1e-4, "{difference}");
    assert_eq!(check["agrees"], true);
    assert!(check["images_per_s"].as_f64().unwrap() > 0.0);
    assert!(data["torch"]["absent"].as_str().unwrap().starts_with("no/such/python"));
}

#[cfg(not(any(feature = "cuda", feature = "metal")))]
#[test]
fn a_device_that_this_build_lacks_is_said() {
    let site = Site::new();
    let text = site.done(&quick(&["--device", "cuda:1"])).out;
    let expected = "cuda:1 isn't used: this program was built without the feature `cuda`; the CPU computes instead";
    assert!(text.contains(expected) && text.contains("they agree"), "{text}");
    let text = site.done(&quick(&["--device", "auto"])).out;
    assert!(text.contains("no GPU was found"), "{text}");
}

#[test]
fn what_is_mistyped_is_said() {
    let site = Site::new();
    let ended = site.run(&["device", "--device", "gpu"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("auto, cpu, cuda, cuda:1"), "{ended:?}");
    let ended = site.run(&["device", "no_such_net"]);
    assert_eq!(ended.code, 4);
    assert!(ended.err.contains("no backbone is called 'no_such_net'"), "{ended:?}");
}
