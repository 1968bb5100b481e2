//! The egress ledger: one line for every message that leaves the site, written before it is sent.
//!
//! The file holds JSON lines. Each ends in `,"hash":"<64 hexadecimal digits>"}`; the hash is the
//! SHA-256 of the line's text before that ending, and the text holds the hash of the line before
//! (`previous`), so that `sha256sum` alone can check a line. (Hash chain: Haber and Stornetta 1991.)
//!
//! A changed, inserted, removed or reordered line breaks the chain. Lines cut off at the end, or a
//! file rewritten from some line on, show only against a [`Head`] that somebody wrote down
//! elsewhere: [`verify_from`].
//!
//! A process killed while it writes leaves a last line without its newline. Its message was never
//! sent, since sending follows the complete line; [`Ledger::open`] cuts it off and says so. Nothing
//! else is ever repaired.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use wardround_core::clock::Timestamp;
use wardround_core::digest::Digest;
use wardround_core::ids::StudyId;

use crate::policy::Loosening;
use crate::words::words;

/// Longest line, in bytes; a longer one isn't ours.
const MAX_LINE: u64 = 1 << 16;

/// What stands in the first line in place of a previous line's hash: its SHA-256.
const GENESIS: &[u8] = b"wardround egress ledger 1";

words! {
    /// Kinds of messages that leave a site.
    What {
        /// The exchange of a token for a certificate.
        Join = "join",
        /// A question for work.
        Poll = "poll",
        /// How far a task is.
        Progress = "progress",
        /// What the site thinks of a study.
        Verdict = "verdict",
        /// The frozen cohort's size and digests.
        Enlisted = "enlisted",
        /// The answer to a query.
        Answer = "answer",
        /// Rows of single patients, or a piece of them.
        Rows = "rows",
        /// Why a task can't be done, as a code.
        Failure = "failure",
        /// A study's memory was dropped.
        Closed = "closed",
        /// A piece of an answer.
        Chunk = "chunk",
        /// A request for a piece of a question.
        GetChunk = "get-chunk",
        /// A question which pieces of an answer are missing.
        MissingChunks = "missing-chunks",
        /// The exchange of a certificate for a new one.
        Renew = "renew",
        /// The site leaves.
        Leave = "leave",
    }
}

/// What a message was sent for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "for")]
pub enum Why {
    /// To be a member and hear of work.
    Membership,
    /// A task of a study.
    Task {
        /// The study.
        study: StudyId,
        /// The task, as the coordinator names it.
        task: String,
    },
    /// A query of a study.
    Query {
        /// The study.
        study: StudyId,
        /// The task, as the coordinator names it.
        task: String,
        /// The query's digest.
        query: Digest,
    },
}

impl Why {
    /// The study, if it was for one.
    pub fn study(&self) -> Option<&StudyId> {
        match self {
            Why::Membership => None,
            Why::Task { study, .. } | Why::Query { study, .. } => Some(study),
        }
    }

    /// The query, if it was for one.
    pub fn query(&self) -> Option<&Digest> {
        match self {
            Why::Query { query, .. } => Some(query),
            _ => None,
        }
    }
}

/// A message that is about to leave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its kind.
    pub what: What,
    /// What it is sent for.
    pub why: Why,
    /// Length of its body in bytes, as it is on the wire inside gRPC's frame.
    pub bytes: u64,
    /// SHA-256 of its body.
    pub digest: Digest,
    /// Privacy budget (epsilon) that it spends.
    pub budget_spent: f64,
    /// Rules that the owner has loosened, where they bear on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loosenings: Vec<Loosening>,
}

impl Message {
    /// A message with this body; it spends nothing and rests on no loosened rule.
    pub fn new(what: What, why: Why, body: &[u8]) -> Self {
        Self {
            what,
            why,
            bytes: body.len() as u64,
            digest: Digest::of(body),
            budget_spent: 0.0,
            loosenings: Vec::new(),
        }
    }
}

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1.
    pub sequence: u64,
    /// When it was written, in milliseconds since 1970 UTC.
    pub time: Timestamp,
    /// The message.
    #[serde(flatten)]
    pub message: Message,
    /// Hash of the line before.
    pub previous: Digest,
    /// Hash of this line.
    pub hash: Digest,
}

/// The line without its hash: the text that is hashed.
#[derive(Serialize)]
struct Unhashed<'a> {
    sequence: u64,
    time: Timestamp,
    #[serde(flatten)]
    message: &'a Message,
    previous: Digest,
}

/// The last line of a ledger: worth writing down elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 when the ledger is empty.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
}

impl Head {
    fn empty() -> Self {
        Self { sequence: 0, hash: Digest::of(GENESIS) }
    }
}

/// When a line is safe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// On the disk before the message is sent: survives a power cut.
    Synced,
    /// With the operating system: survives a kill of the process.
    Buffered,
}

/// What [`Ledger::open`] found at the end of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// A complete line, or nothing.
    Whole,
    /// An incomplete line of so many bytes, now cut off. Its message was never sent.
    CutOff(u64),
}

/// A ledger that can't be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file can't be read or written.
    #[error("egress ledger: {0}")]
    Io(#[from] io::Error),
    /// Another process writes it.
    #[error("egress ledger is in use by another process")]
    InUse,
    /// It was tampered with or damaged.
    #[error("egress ledger: {0}")]
    Broken(#[from] Broken),
    /// A message too long to be noted.
    #[error("expected a ledger line of at most {MAX_LINE} bytes, got {0}")]
    TooLong(usize),
}

/// Where a ledger is broken and how.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Broken {
    /// The first line that isn't right, from 1.
    pub line: u64,
    /// What isn't right.
    pub what: Flaw,
}

/// What isn't right with a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Not a line of this software.
    #[error("not a line of an egress ledger")]
    Unreadable,
    /// Its text was changed.
    #[error("the text doesn't match its hash: it was changed")]
    Changed,
    /// It doesn't follow the line before.
    #[error("it doesn't follow the line before: lines were removed, inserted or reordered")]
    OutOfOrder,
    /// The remembered head isn't in the file.
    #[error("the remembered line {0} is missing: lines were cut off at the end")]
    CutShort(u64),
    /// The remembered head's hash is another one.
    #[error("the line isn't the remembered one: the file was rewritten")]
    Rewritten,
}

/// A ledger open for writing; one process at a time.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    /// Bytes of complete lines.
    length: u64,
    head: Head,
    durability: Durability,
}

impl Ledger {
    /// Opens or makes a ledger, readable by its owner only, and verifies all of it.
    ///
    /// # Errors
    /// [`LedgerError`]: not readable, in use, or broken; a broken ledger isn't written to.
    pub fn open(path: &Path, durability: Durability) -> Result<(Self, Tail), LedgerError> {
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let mut entries = Entries::new(File::open(path)?);
        for entry in entries.by_ref() {
            entry?;
        }
        let ledger = Self { file, length: entries.length, head: entries.head, durability };
        let tail = match entries.torn {
            0 => Tail::Whole,
            torn => {
                ledger.file.set_len(ledger.length)?;
                ledger.file.sync_all()?;
                Tail::CutOff(torn)
            }
        };
        Ok((ledger, tail))
    }

    /// Writes a line; once it returns, the message may be sent.
    ///
    /// # Errors
    /// [`LedgerError`]: the line couldn't be written, and the message must not be sent.
    pub fn append(&mut self, time: Timestamp, message: &Message) -> Result<Head, LedgerError> {
        let sequence = self.head.sequence + 1;
        let unhashed = Unhashed { sequence, time, message, previous: self.head.hash };
        let text = serde_json::to_string(&unhashed).map_err(io::Error::from)?;
        let text = text.strip_suffix('}').expect("a struct is written as a JSON object");
        let hash = Digest::of(text.as_bytes());
        let line = format!("{text}{HASH_OPENS}{hash}{HASH_CLOSES}\n");
        if line.len() as u64 > MAX_LINE {
            return Err(LedgerError::TooLong(line.len()));
        }
        // What an earlier failed write may have left.
        self.file.set_len(self.length)?;
        self.file.write_all(line.as_bytes())?;
        if self.durability == Durability::Synced {
            self.file.sync_data()?;
        }
        self.length += line.len() as u64;
        self.head = Head { sequence, hash };
        Ok(self.head)
    }

    /// The last line.
    pub fn head(&self) -> Head {
        self.head
    }
}

/// What a verified ledger holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The last line.
    pub head: Head,
    /// Bytes of all messages.
    pub bytes: u64,
    /// Messages and bytes by kind.
    pub by_kind: BTreeMap<What, (u64, u64)>,
    /// Bytes of an incomplete last line: a message that is being written, or was never sent.
    pub torn: u64,
}

/// Verifies the whole chain.
///
/// # Errors
/// [`LedgerError::Broken`] names the first line that isn't right.
pub fn verify(path: &Path) -> Result<Summary, LedgerError> {
    summarise(path, None)
}

/// Verifies the whole chain, and that a remembered line is still in it: then nothing up to it was
/// changed or cut off since.
///
/// # Errors
/// As [`verify`]; [`Flaw::CutShort`] or [`Flaw::Rewritten`] when the remembered line isn't there.
pub fn verify_from(path: &Path, remembered: &Head) -> Result<Summary, LedgerError> {
    summarise(path, Some(remembered))
}

fn summarise(path: &Path, remembered: Option<&Head>) -> Result<Summary, LedgerError> {
    let mut entries = Entries::new(File::open(path)?);
    let (mut bytes, mut by_kind) = (0, BTreeMap::new());
    for entry in entries.by_ref() {
        let entry = entry?;
        if remembered.is_some_and(|r| r.sequence == entry.sequence && r.hash != entry.hash) {
            return Err(Broken { line: entry.sequence, what: Flaw::Rewritten }.into());
        }
        bytes += entry.message.bytes;
        let (count, sum) = by_kind.entry(entry.message.what).or_default();
        *count += 1;
        *sum += entry.message.bytes;
    }
    match remembered {
        Some(r) if r.sequence > entries.head.sequence => {
            let line = entries.head.sequence + 1;
            Err(Broken { line, what: Flaw::CutShort(r.sequence) }.into())
        }
        _ => Ok(Summary { head: entries.head, bytes, by_kind, torn: entries.torn }),
    }
}

/// Which entries are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// All.
    All,
    /// Those of a study.
    Study(StudyId),
    /// Those for a query.
    Query(Digest),
    /// Those of a kind.
    What(What),
    /// Those written at or after a moment.
    Since(Timestamp),
    /// The one with this number.
    Sequence(u64),
}

impl Filter {
    /// Whether an entry is wanted.
    pub fn takes(&self, entry: &Entry) -> bool {
        match self {
            Filter::All => true,
            Filter::Study(study) => entry.message.why.study() == Some(study),
            Filter::Query(query) => entry.message.why.query() == Some(query),
            Filter::What(what) => entry.message.what == *what,
            Filter::Since(time) => entry.time >= *time,
            Filter::Sequence(sequence) => entry.sequence == *sequence,
        }
    }
}

/// The entries that pass every filter, oldest first, read one at a time; each was verified with
/// everything before it. Ends after the first error.
///
/// # Errors
/// The file can't be opened.
pub fn entries(
    path: &Path,
    filters: Vec<Filter>,
) -> Result<impl Iterator<Item = Result<Entry, LedgerError>>, LedgerError> {
    let entries = Entries::new(File::open(path)?);
    Ok(entries.filter(move |entry| match entry {
        Ok(entry) => filters.iter().all(|filter| filter.takes(entry)),
        Err(_) => true,
    }))
}

const HASH_OPENS: &str = ",\"hash\":\"";
const HASH_CLOSES: &str = "\"}";
/// Length of a line's ending, without its newline.
const ENDING: usize = HASH_OPENS.len() + 64 + HASH_CLOSES.len();

/// Reads lines and follows the chain.
struct Entries {
    reader: BufReader<File>,
    head: Head,
    /// Bytes of complete, verified lines so far.
    length: u64,
    /// Bytes of an incomplete last line.
    torn: u64,
    ended: bool,
}

impl Entries {
    fn new(file: File) -> Self {
        let reader = BufReader::new(file);
        Self { reader, head: Head::empty(), length: 0, torn: 0, ended: false }
    }

    fn read(&mut self) -> Result<Option<Entry>, LedgerError> {
        let mut line = Vec::new();
        self.reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
        let broken = |what| Broken { line: self.head.sequence + 1, what };
        let Some(text) = line.strip_suffix(b"\n") else {
            if line.len() as u64 == MAX_LINE {
                return Err(broken(Flaw::Unreadable).into());
            }
            self.torn = line.len() as u64;
            return Ok(None);
        };
        let entry: Entry = serde_json::from_slice(text).map_err(|_| broken(Flaw::Unreadable))?;
        let (hashed, ending) = text.split_at(text.len().saturating_sub(ENDING));
        if ending != format!("{HASH_OPENS}{}{HASH_CLOSES}", entry.hash).as_bytes() {
            return Err(broken(Flaw::Unreadable).into());
        }
        if Digest::of(hashed) != entry.hash {
            return Err(broken(Flaw::Changed).into());
        }
        if entry.previous != self.head.hash || entry.sequence != self.head.sequence + 1 {
            return Err(broken(Flaw::OutOfOrder).into());
        }
        self.head = Head { sequence: entry.sequence, hash: entry.hash };
        self.length += line.len() as u64;
        Ok(Some(entry))
    }
}

impl Iterator for Entries {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let read = self.read().transpose();
        self.ended = !matches!(read, Some(Ok(_)));
        read
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use proptest::prelude::*;
    use tempfile::TempDir;

    use super::*;
    use crate::policy::{Policy, WideSums};

    fn study() -> StudyId {
        StudyId::parse("s1").unwrap()
    }

    fn message(at: u64) -> Message {
        let why = match at % 3 {
            0 => Why::Membership,
            1 => Why::Task { study: study(), task: "t1".into() },
            _ => Why::Query { study: study(), task: "t2".into(), query: Digest::of(b"q") },
        };
        let what = [What::Poll, What::Verdict, What::Answer][at as usize % 3];
        let policy = Policy { wide_sums: WideSums::Allowed, ..Policy::default() };
        let loosenings = if what == What::Poll { vec![] } else { policy.loosenings() };
        Message { loosenings, ..Message::new(what, why, &vec![at as u8; at as usize]) }
    }

    /// A ledger of `count` lines.
    fn ledger(count: u64) -> (TempDir, PathBuf, Head) {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("egress.jsonl");
        let (mut ledger, tail) = Ledger::open(&path, Durability::Buffered).unwrap();
        assert_eq!(tail, Tail::Whole);
        for at in 0..count {
            ledger.append(Timestamp(1000 + at as i64), &message(at)).unwrap();
        }
        let head = ledger.head();
        (dir, path, head)
    }

    fn lines(path: &Path) -> Vec<String> {
        std::fs::read_to_string(path).unwrap().lines().map(|line| format!("{line}\n")).collect()
    }

    fn flaw(path: &Path) -> (u64, Flaw) {
        match verify(path) {
            Err(LedgerError::Broken(Broken { line, what })) => (line, what),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_written_is_read_and_verified() {
        let (_dir, path, head) = ledger(9);
        let summary = verify(&path).unwrap();
        assert_eq!((summary.head, summary.bytes, summary.torn), (head, 36, 0));
        assert_eq!(summary.by_kind[&What::Answer], (3, 2 + 5 + 8));
        let all: Vec<Entry> = entries(&path, vec![]).unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len(), 9);
        assert!(all.iter().zip(0..).all(|(entry, at)| entry.message == message(at)));
        assert_eq!(all[1].message.loosenings[0].rule.code(), "wide_sums");
        let count = |filters| entries(&path, filters).unwrap().count();
        assert_eq!(count(vec![Filter::Study(study())]), 6);
        assert_eq!(count(vec![Filter::Query(Digest::of(b"q"))]), 3);
        assert_eq!(count(vec![Filter::What(What::Poll), Filter::Since(Timestamp(1003))]), 2);
        assert_eq!(count(vec![Filter::Sequence(4)]), 1);
    }

    #[test]
    fn it_goes_on_where_it_stopped() {
        let (_dir, path, head) = ledger(3);
        let (mut again, tail) = Ledger::open(&path, Durability::Synced).unwrap();
        assert_eq!((again.head(), tail), (head, Tail::Whole));
        again.append(Timestamp(5), &message(3)).unwrap();
        assert_eq!(verify_from(&path, &head).unwrap().head.sequence, 4);
    }

    #[test]
    fn one_process_writes_it() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("egress.jsonl");
        let _first = Ledger::open(&path, Durability::Buffered).unwrap();
        assert!(matches!(Ledger::open(&path, Durability::Buffered), Err(LedgerError::InUse)));
    }

    #[cfg(unix)]
    #[test]
    fn only_the_owner_reads_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path, _) = ledger(1);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_torn_by_a_kill_is_cut_off_wherever_it_was_torn() {
        let (_dir, path, head) = ledger(3);
        let whole = std::fs::read(&path).unwrap();
        let last = lines(&path).pop().unwrap().len();
        for kept in 1..last {
            let torn = &whole[..whole.len() - last + kept];
            std::fs::write(&path, torn).unwrap();
            assert_eq!(verify(&path).unwrap().torn, kept as u64);
            let (mut ledger, tail) = Ledger::open(&path, Durability::Buffered).unwrap();
            assert_eq!((tail, ledger.head().sequence), (Tail::CutOff(kept as u64), 2));
            ledger.append(Timestamp(1002), &message(2)).unwrap();
            assert_eq!(ledger.head(), head);
            assert_eq!(std::fs::read(&path).unwrap(), whole);
        }
    }

    #[test]
    fn a_removed_inserted_or_reordered_line_is_found() {
        let (_dir, path, _) = ledger(5);
        let good = lines(&path);
        let write = |lines: &[String]| std::fs::write(&path, lines.concat()).unwrap();
        let mut removed = good.clone();
        removed.remove(2);
        write(&removed);
        assert_eq!(flaw(&path), (3, Flaw::OutOfOrder));
        let mut first = good.clone();
        first.remove(0);
        write(&first);
        assert_eq!(flaw(&path), (1, Flaw::OutOfOrder));
        let mut swapped = good.clone();
        swapped.swap(1, 2);
        write(&swapped);
        assert_eq!(flaw(&path), (2, Flaw::OutOfOrder));
        let mut inserted = good.clone();
        inserted.insert(3, good[3].clone());
        write(&inserted);
        assert_eq!(flaw(&path), (5, Flaw::OutOfOrder));
        let mut blank = good;
        blank.insert(1, "\n".into());
        write(&blank);
        assert_eq!(flaw(&path), (2, Flaw::Unreadable));
        assert!(matches!(Ledger::open(&path, Durability::Buffered), Err(LedgerError::Broken(_))));
    }

    #[test]
    fn a_cut_or_rewritten_end_shows_against_a_remembered_head() {
        let (_dir, path, head) = ledger(5);
        let good = lines(&path);
        std::fs::write(&path, good[..3].concat()).unwrap();
        assert_eq!(verify(&path).unwrap().head.sequence, 3);
        let cut = verify_from(&path, &head).unwrap_err();
        let LedgerError::Broken(cut) = cut else { panic!("{cut}") };
        assert_eq!(cut, Broken { line: 4, what: Flaw::CutShort(5) });
        let (mut ledger, _) = Ledger::open(&path, Durability::Buffered).unwrap();
        for at in [7, 8] {
            ledger.append(Timestamp(9), &message(at)).unwrap();
        }
        let rewritten = verify_from(&path, &head).unwrap_err();
        let LedgerError::Broken(rewritten) = rewritten else { panic!("{rewritten}") };
        assert_eq!(rewritten, Broken { line: 5, what: Flaw::Rewritten });
    }

    #[test]
    fn a_file_without_newlines_doesnt_fill_the_memory() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("egress.jsonl");
        std::fs::write(&path, vec![b'{'; 3 * MAX_LINE as usize]).unwrap();
        assert_eq!(flaw(&path), (1, Flaw::Unreadable));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_changed_byte_is_found(at in 0usize..10_000, to in any::<u8>()) {
            let (_dir, path, head) = ledger(4);
            let mut bytes = std::fs::read(&path).unwrap();
            let at = at % bytes.len();
            prop_assume!(bytes[at] != to);
            bytes[at] = to;
            std::fs::write(&path, &bytes).unwrap();
            // The last newline turned into something else makes the last line incomplete.
            prop_assert!(verify_from(&path, &head).is_err());
        }
    }
}
