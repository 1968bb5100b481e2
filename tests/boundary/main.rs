//! Who may import whom, and who may hold what: the promises that a reader of one crate relies on.
//!
//! Proved from `cargo tree` and from the source text. Each ban has a control that would be red if the
//! check itself looked at nothing.

#[cfg(test)]
mod source;
#[cfg(test)]
mod tree;

use std::collections::BTreeSet;

use source::{code, rust_files};
use tree::{Features, crates, direct};

/// Crates that read images: whoever links none of them can't decode one.
fn decodes_images(name: &str) -> bool {
    ["candle", "zune", "dicom", "jpeg", "charls", "openjp2"].iter().any(|part| name.contains(part))
        || ["image", "png", "gif", "tiff", "image-webp"].contains(&name)
}

#[test]
fn the_coordinator_links_no_image_decoder() {
    for features in [Features::Default, Features::All] {
        let linked = crates("wardround", features);
        assert!(linked.contains("wardround-net") && linked.contains("tokio"), "{linked:?}");
        let found: Vec<&String> = linked.iter().filter(|name| decodes_images(name)).collect();
        assert!(found.is_empty(), "the coordinator links {found:?}");
        assert!(!linked.contains("wardround-vision"));
    }
}

#[test]
fn the_site_agent_links_image_decoders() {
    let linked = crates("wardround-site", Features::Default);
    for expected in ["wardround-vision", "candle-core", "image", "png"] {
        assert!(linked.contains(expected), "{expected} isn't among {linked:?}");
    }
    assert!(linked.iter().any(|name| name.contains("jpeg")));
}

#[test]
fn imports_follow_the_table() {
    let allowed: &[(&str, &[&str])] = &[
        ("wardround-core", &[]),
        ("wardround-learn", &["core"]),
        ("wardround-privacy", &["core"]),
        ("wardround-proto", &["core"]),
        ("wardround-vision", &["core", "learn"]),
        ("wardround-net", &["core"]),
        ("wardround", &["core", "learn", "privacy", "net", "proto"]),
        ("wardround-site", &["core", "learn", "privacy", "vision", "net", "proto"]),
    ];
    for (package, allowed) in allowed {
        let allowed: BTreeSet<String> =
            allowed.iter().map(|name| format!("wardround-{name}")).collect();
        let ours = |name: &String| name.starts_with("wardround");
        let imported: BTreeSet<String> = direct(package).into_iter().filter(ours).collect();
        let extra: Vec<_> = imported.difference(&allowed).collect();
        assert!(extra.is_empty(), "{package} imports {extra:?}");
    }
    let site = direct("wardround-site");
    assert!(site.contains("wardround-vision") && site.contains("wardround-privacy"), "{site:?}");
}

#[test]
fn science_and_privacy_have_no_runtime() {
    let runtime = ["tokio", "tonic", "hyper", "rustls"];
    for package in ["wardround-core", "wardround-learn", "wardround-privacy", "wardround-vision"] {
        let imported = direct(package);
        let found: Vec<_> = runtime.iter().filter(|name| imported.contains(**name)).collect();
        assert!(found.is_empty(), "{package} imports {found:?}");
    }
    let proto = direct("wardround-proto");
    assert!(proto.contains("tonic") && !proto.contains("tokio"), "{proto:?}");
    let net = direct("wardround-net");
    assert!(net.contains("tokio") && !net.contains("prost"), "{net:?}");
}

#[test]
fn one_file_of_the_site_can_send() {
    let stubs = ["site_link_client", "SiteLinkClient", "enrolment_client", "EnrolmentClient"];
    // Other ways out of a process: a hospital's IT should find none.
    let ways = [
        "console_client",
        "client::Grpc",
        "TcpStream",
        "UdpSocket",
        "UnixStream",
        "ureq",
        "reqwest",
    ];
    for (path, text) in rust_files("site-agent/src") {
        let code = code(&text);
        let is_door = path.ends_with("site-agent/src/egress.rs");
        for stub in stubs {
            assert_eq!(code.contains(stub), is_door, "{stub} in {}", path.display());
        }
        for way in ways {
            assert!(!code.contains(way), "{way} in {}", path.display());
        }
    }
}

#[test]
fn what_shows_patients_does_not_know_the_way_out() {
    // The door and what it is made of, by whichever name: its module, the ledger, the wire, the network.
    let ways = [
        "egress",
        "Egress",
        "Outgoing",
        "door",
        "agent::",
        "answer::",
        "Ledger",
        "ledger",
        "wardround_net",
        "wardround_proto",
        "wardround_privacy",
        "tonic",
        "tokio",
        "prost",
        "std::net",
    ];
    let galleries = ["explain", "duplicates"]
        .into_iter()
        .flat_map(|part| rust_files(&format!("site-agent/src/{part}")));
    let commands = rust_files("site-agent/src/cli").into_iter().filter(|(path, _)| {
        ["explain.rs", "review.rs", "duplicates.rs", "gallery.rs"]
            .iter()
            .any(|name| path.ends_with(name))
    });
    let files: Vec<_> = galleries.chain(commands).collect();
    for (path, text) in &files {
        let code = code(text);
        for way in ways {
            assert!(!code.contains(way), "{way} in {}", path.display());
        }
    }
    // The controls: all these files were read, and the check finds the door where it is.
    let has = |what: &str| files.iter().any(|(_, text)| code(text).contains(what));
    assert!(
        files.len() >= 14 && has("fn document") && has("struct Review") && has("fn near_pairs"),
        "{}",
        files.len()
    );
    let door =
        rust_files("site-agent/src/cli").into_iter().find(|(path, _)| path.ends_with("site.rs"));
    assert!(code(&door.expect("it opens the door").1).contains("Egress"));
}

#[test]
fn what_leaves_is_made_of_nothing_that_shows_patients() {
    for (path, text) in rust_files("site-agent/src") {
        let may = ["explain", "duplicates", "cli"]
            .iter()
            .any(|part| path.components().any(|c| c.as_os_str() == *part));
        let code = code(&text);
        for shows in ["explain::", "duplicates::"] {
            assert!(may || !code.contains(shows), "{} uses {shows}", path.display());
        }
    }
}

#[test]
fn unsafe_code_lives_in_the_kernels_alone() {
    let mut in_kernels = 0;
    for (path, text) in rust_files(".") {
        let code = code(&text);
        let found =
            code.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == "unsafe");
        let is_kernel = path.components().any(|part| part.as_os_str() == "kernels");
        assert!(!found || is_kernel, "unsafe code in {}", path.display());
        in_kernels += usize::from(found && is_kernel);
    }
    assert!(in_kernels > 0, "the check found no unsafe code where there is some");
}

#[test]
fn the_coordinator_never_names_what_only_a_site_holds() {
    for (path, text) in rust_files("coordinator/src") {
        let code = code(&text);
        for name in ["wardround_vision", "wardround_site", "RowsBuilder"] {
            let in_test = code.find("#[cfg(test)]").unwrap_or(code.len());
            assert!(!code[..in_test].contains(name), "{name} in {}", path.display());
        }
    }
}

#[test]
fn a_hospitals_it_never_reads_pooled() {
    let mut read = 0;
    let folders = ["site-agent/src/config", "site-agent/src/cli", "shared/privacy/src"];
    for (path, text) in folders.into_iter().flat_map(rust_files) {
        assert!(!text.to_lowercase().contains("pooled"), "{}", path.display());
        read += 1;
    }
    assert!(read > 5, "{read}");
}
