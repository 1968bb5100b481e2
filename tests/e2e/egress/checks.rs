//! What must hold between a site's ledger and what its proxy saw.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use serde_json::Value;
use wardround_core::ids::SiteId;
use wardround_local::process::Ended;
use wardround_privacy::ledger::What;
use wardround_proto::payload::{PayloadHead, RAW_LIMIT, unpack};
use wardround_proto::v1;
use wardround_tests::Trial;

use super::compare::{Noted, Sent, compare, message, path_of};
use super::proxy::Request;
use super::search::Needles;
use super::tap::{self, Frames};

/// Kinds, lengths and digests at the proxy are those of the ledger.
pub fn as_the_ledger_says(site: &SiteId, requests: &[Request], frames: &Frames, noted: &[Noted]) {
    let sent: Vec<Sent> = requests.iter().filter(|r| r.whole).map(Sent::of).collect();
    let unsent = compare(noted, &sent).unwrap_or_else(|why| panic!("{site}: {why}"));
    let cut = requests.iter().filter(|request| !request.whole).count();
    assert!(cut <= unsent.len(), "{site}: {cut} requests were cut, unsent are {unsent:?}");

    let bytes = |all: &mut dyn Iterator<Item = u64>| all.sum::<u64>();
    let of_sent = bytes(&mut sent.iter().map(|sent| sent.bytes));
    let is_sent = |line: &&Noted| !unsent.contains(&line.sequence);
    assert_eq!(of_sent, bytes(&mut noted.iter().filter(is_sent).map(|n| n.sent.bytes)), "{site}");

    // Below the library that read the bodies: they are all that came in DATA frames.
    let bodies = bytes(&mut requests.iter().map(|request| request.body.len() as u64));
    assert_eq!(frames.by_kind[&tap::DATA].1, bodies, "{site}");
    assert_eq!(frames.by_kind[&tap::HEADERS].0, requests.len() as u64, "{site}: {frames:?}");
    if cut == 0 {
        assert_eq!(bodies, of_sent + 5 * sent.len() as u64, "{site}: gRPC's prefixes");
    }
    assert_eq!((frames.padded, frames.foreign), (0, 0), "{site}: {frames:?}");
    let odd: Vec<&u8> = frames.by_kind.keys().filter(|kind| !tap::USUAL.contains(kind)).collect();
    assert!(odd.is_empty(), "{site}: frames of kinds {odd:?}");

    let mut kinds: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for line in noted {
        let (count, sum) = kinds.entry(line.what.code()).or_default();
        (*count, *sum) = (*count + 1, *sum + line.sent.bytes);
    }
    println!("{site}: {} lines, {of_sent} bytes sent, unsent {unsent:?}: {kinds:?}", noted.len());
    println!("{site}: frames by kind {:?}", frames.by_kind);
}

/// No call goes elsewhere than to the two services, and headers carry nothing of their own.
pub fn to_the_coordinator_alone(requests: &[Request]) {
    let calls: BTreeSet<&str> = What::ALL.iter().map(|&what| path_of(what)).collect();
    let mut headers = BTreeSet::new();
    for request in requests {
        assert_eq!(request.method, "POST");
        assert!(calls.contains(request.path.as_str()), "a call of {}", request.path);
        headers.insert(request.headers.clone());
    }
    // The same at every call, so that they can't tell anything.
    assert_eq!(headers.len(), 1, "{headers:?}");
    for (name, value) in headers.iter().flatten() {
        match name.as_str() {
            "content-type" => assert_eq!(value, "application/grpc"),
            "te" => assert_eq!(value, "trailers"),
            "user-agent" => {
                assert!(value.starts_with("wardround/") && value.len() < 40, "user-agent: {value}")
            }
            _ => panic!("a header {name}: {value}"),
        }
    }
}

/// None of these, in bodies or in the answers packed in them.
pub fn without(site: &SiteId, requests: &[Request], needles: &Needles, token: &str) {
    assert!(needles.len() > 10_000, "{} needles", needles.len());
    let answers = answers(requests);
    let packed: usize = answers.iter().map(Vec::len).sum();
    println!("{site}: {} answers, {packed} bytes unpacked", answers.len());
    assert!(!answers.is_empty());
    for bytes in requests.iter().map(|request| &request.body).chain(&answers) {
        if let Some(what) = needles.find(bytes) {
            panic!("{site}: {what} left");
        }
    }
    // The search finds what did leave.
    let mut left = Needles::new();
    left.add("the token", token.as_bytes());
    let found = requests.iter().filter(|request| left.find(&request.body).is_some());
    let paths: Vec<&str> = found.map(|request| request.path.as_str()).collect();
    assert_eq!(paths, [path_of(What::Join)], "{site}");
}

/// Every answer that left, unpacked: from inside its message, or from its pieces.
fn answers(requests: &[Request]) -> Vec<Vec<u8>> {
    let mut pieces: BTreeMap<Vec<u8>, BTreeMap<u32, Vec<u8>>> = BTreeMap::new();
    let mut heads = Vec::new();
    for request in requests.iter().filter(|request| request.whole) {
        let message = message(request);
        if request.path == path_of(What::Chunk) {
            let chunk = v1::Chunk::decode(message).expect("a chunk");
            pieces.entry(chunk.digest).or_default().insert(chunk.index, chunk.data);
        } else if request.path == path_of(What::Answer) {
            let submission = v1::Submission::decode(message).expect("a submission");
            if let Some(v1::submission::Outcome::Answer(answer)) = submission.outcome {
                heads.push(answer.sum.expect("an answer has a sum"));
            }
        }
    }
    let unpacked = |payload: &v1::Payload| {
        let bytes = match payload.inline.is_empty() {
            false => payload.inline.clone(),
            true => pieces[&payload.digest].values().flatten().copied().collect(),
        };
        // It also checks digest and size.
        let head = PayloadHead::read(payload, RAW_LIMIT).expect("a head");
        unpack(&head, &bytes).expect("whole bytes")
    };
    heads.iter().map(unpacked).collect()
}

/// `wardround-site egress verify` and `list` say the same as the file.
pub fn verified(trial: &Trial, site: &SiteId, noted: &[Noted]) {
    let summary = egress(trial, site, "verify");
    let summary = &summary["data"];
    let bytes: u64 = noted.iter().map(|line| line.sent.bytes).sum();
    assert_eq!(summary["head"]["sequence"], noted.len() as u64, "{summary}");
    assert_eq!(summary["bytes"], bytes, "{summary}");
    let list = egress(trial, site, "list");
    let listed: Vec<&Value> = list["data"].as_array().into_iter().flatten().collect();
    let listed: Vec<Option<&str>> = listed.iter().map(|entry| entry["digest"].as_str()).collect();
    let digests: Vec<String> = noted.iter().map(|line| line.sent.digest.to_string()).collect();
    let digests: Vec<Option<&str>> = digests.iter().map(|digest| Some(digest.as_str())).collect();
    assert_eq!(listed, digests);
}

fn egress(trial: &Trial, site: &SiteId, action: &str) -> Value {
    let ended = said(trial, site, &[action, "--format", "json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    serde_json::from_str(&ended.stdout).expect("JSON")
}

/// Runs `wardround-site egress` at a site.
pub fn said(trial: &Trial, site: &SiteId, arguments: &[&str]) -> Ended {
    let command = trial.federation.at_site(site, &[&["egress"], arguments].concat());
    trial.federation.nursery().output("egress", command).expect("it can be started")
}
