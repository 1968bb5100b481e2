//! What stands in a ledger against what a proxy saw.

use std::collections::BTreeMap;
use std::path::Path;

use wardround_core::digest::Digest;
use wardround_privacy::ledger::{self, What};

use super::proxy::Request;

/// Length of gRPC's prefix of a message: a flag and a length.
const PREFIX: usize = 5;

/// A kill may come between a line and its message. At its end an agent has one poll under way and at
/// most an outcome and a progress report beside it.
const CUT_BY_A_KILL: usize = 3;

/// A message on its way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sent {
    /// Which call it belongs to.
    pub path: String,
    /// SHA-256 of its body.
    pub digest: Digest,
    /// Length of its body.
    pub bytes: u64,
}

/// A line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Noted {
    /// Its number.
    pub sequence: u64,
    /// Kind of the message.
    pub what: What,
    /// The message.
    pub sent: Sent,
}

impl Sent {
    /// The message of a call.
    pub fn of(request: &Request) -> Self {
        let message = message(request);
        let (digest, bytes) = (Digest::of(message), message.len() as u64);
        Self { path: request.path.clone(), digest, bytes }
    }
}

/// The one message of a call.
///
/// # Panics
/// There are more or fewer.
pub fn message(request: &Request) -> &[u8] {
    let messages = messages(&request.body).unwrap_or_else(|why| panic!("{}: {why}", request.path));
    let [message] = messages[..] else { panic!("{}: {} messages", request.path, messages.len()) };
    message
}

/// Every line of a ledger.
pub fn noted(ledger: &Path) -> Vec<Noted> {
    let entries = ledger::entries(ledger, Vec::new()).expect("a ledger");
    let noted = |entry: ledger::Entry| {
        let ledger::Message { what, bytes, digest, .. } = entry.message;
        let sent = Sent { path: path_of(what).to_owned(), digest, bytes };
        Noted { sequence: entry.sequence, what, sent }
    };
    entries.map(|entry| noted(entry.expect("a whole ledger"))).collect()
}

/// The messages of a body (gRPC over HTTP/2, "Length-Prefixed-Message").
fn messages(mut body: &[u8]) -> Result<Vec<&[u8]>, String> {
    let mut messages = Vec::new();
    while let Some((&[flag, a, b, c, d], rest)) = body.split_first_chunk::<PREFIX>() {
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        if flag != 0 || length > rest.len() {
            return Err(format!("flag {flag}, {length} bytes of which {} are there", rest.len()));
        }
        let (message, after) = rest.split_at(length);
        messages.push(message);
        body = after;
    }
    if body.is_empty() { Ok(messages) } else { Err(format!("{} bytes too many", body.len())) }
}

/// The call that carries a kind of message.
pub fn path_of(what: What) -> &'static str {
    match what {
        What::Join => "/wardround.v1.Enrolment/Join",
        What::Poll => "/wardround.v1.SiteLink/Poll",
        What::Progress => "/wardround.v1.SiteLink/Progress",
        What::Verdict
        | What::Enlisted
        | What::Answer
        | What::Rows
        | What::Failure
        | What::Closed => "/wardround.v1.SiteLink/Submit",
        What::Chunk => "/wardround.v1.SiteLink/PutChunk",
        What::GetChunk => "/wardround.v1.SiteLink/GetChunk",
        What::MissingChunks => "/wardround.v1.SiteLink/MissingChunks",
        What::Renew => "/wardround.v1.SiteLink/Renew",
        What::Leave => "/wardround.v1.SiteLink/Leave",
    }
}

/// Every message has a line of its own, and every line its message. Returns the numbers of lines
/// without one, which are allowed among the last [`CUT_BY_A_KILL`] alone: a line is written before its
/// message is sent, so that a kill may come between.
pub fn compare(noted: &[Noted], sent: &[Sent]) -> Result<Vec<u64>, String> {
    let mut lines: BTreeMap<&Sent, Vec<u64>> = BTreeMap::new();
    for line in noted {
        lines.entry(&line.sent).or_default().push(line.sequence);
    }
    for sent in sent {
        // The oldest line first, so that what is left over is the newest.
        let line = lines.get_mut(sent).filter(|numbers| !numbers.is_empty());
        line.ok_or_else(|| format!("left without a line: {sent:?}"))?.remove(0);
    }
    let mut unsent: Vec<u64> = lines.into_values().flatten().collect();
    unsent.sort_unstable();
    let last = noted.len().saturating_sub(CUT_BY_A_KILL) as u64;
    match unsent.iter().find(|&&number| number <= last) {
        Some(number) => Err(format!("line {number} of {}: no such message left", noted.len())),
        None => Ok(unsent),
    }
}

#[test]
fn a_difference_is_found() {
    let line = |sequence: u64, what: What| {
        let (digest, path) = (Digest::of(&sequence.to_le_bytes()), path_of(what).to_owned());
        Noted { sequence, what, sent: Sent { path, digest, bytes: 10 } }
    };
    let noted: Vec<Noted> = (1..=9).map(|at| line(at, What::Poll)).collect();
    let all: Vec<Sent> = noted.iter().map(|line| line.sent.clone()).collect();
    assert_eq!(compare(&noted, &all), Ok(vec![]));
    assert_eq!(compare(&noted, &all[..7]), Ok(vec![8, 9]));
    assert_eq!(compare(&noted, &all[1..]).unwrap_err(), "line 1 of 9: no such message left");
    let twice = [all.clone(), vec![all[4].clone()]].concat();
    assert!(compare(&noted, &twice).unwrap_err().starts_with("left without a line"));
    let change = |change: fn(&mut Sent)| {
        let mut sent = all.clone();
        change(&mut sent[8]);
        compare(&noted, &sent).is_err()
    };
    assert!(change(|sent| sent.bytes += 1));
    assert!(change(|sent| sent.digest = Digest::of(b"other")));
    assert!(change(|sent| sent.path = path_of(What::Leave).to_owned()));
}

#[test]
fn messages_are_cut_out_of_a_body() {
    let body = [b"\0\0\0\0\x02ab".as_slice(), b"\0\0\0\0\0"].concat();
    assert_eq!(messages(&body), Ok(vec![b"ab".as_slice(), b""]));
    for wrong in [b"\x01\0\0\0\0".as_slice(), b"\0\0\0\0\x02a", b"\0\0\0"] {
        assert!(messages(wrong).is_err());
    }
}
