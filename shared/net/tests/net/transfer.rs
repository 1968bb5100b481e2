//! Transfers over links that break, lie and repeat themselves.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use proptest::prelude::*;
use wardround_core::digest::Digest;
use wardround_net::retry::{Policy, Transient};
use wardround_net::transfer::{
    Bytes, CHUNK_BYTES, ChunkSink, ChunkSource, ChunkStore, Limits, Payload, Progress, StoreError,
    TransferError, chunk_count, chunk_length, download, upload,
};

const LIMITS: Limits = Limits { payload: 8 << 20, total: 20 << 20 };

/// Four chunks, the last one short; no two alike.
fn bytes(seed: u8) -> Bytes {
    let length = 3 * CHUNK_BYTES as usize + 1234;
    (0..length).map(|i| (i / 1000) as u8 ^ (i as u8) ^ seed).collect()
}

fn store(folder: &tempfile::TempDir) -> ChunkStore {
    ChunkStore::open(folder.path().join("store"), LIMITS).expect("a store")
}

async fn content(store: &ChunkStore, digest: Digest) -> Bytes {
    Bytes::from(tokio::fs::read(store.path(digest).expect("the file")).await.expect("the file"))
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("the link is cut")]
    Cut,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Transient for Fault {
    fn is_transient(&self) -> bool {
        matches!(self, Fault::Cut)
    }
}

/// A store behind a link that breaks once `left` chunks have passed. With `deaf`, the chunk that
/// breaks it arrives and only its acknowledgement is lost.
struct Link<'s> {
    store: &'s ChunkStore,
    left: AtomicU32,
    deaf: bool,
    /// How often each chunk passed.
    passed: Mutex<HashMap<u32, u32>>,
}

impl<'s> Link<'s> {
    fn new(store: &'s ChunkStore, left: u32, deaf: bool) -> Self {
        Self { store, left: AtomicU32::new(left), deaf, passed: Mutex::default() }
    }

    fn cut(&self) -> bool {
        self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1)).is_err()
    }

    fn pass(&self, index: u32) {
        *self.passed.lock().expect("nobody panicked").entry(index).or_default() += 1;
    }
}

impl ChunkSink for Link<'_> {
    type Error = Fault;

    async fn missing(&self, digest: Digest, size: u64) -> Result<Vec<u32>, Fault> {
        Ok(self.store.missing(digest, size).await?)
    }

    async fn put(
        &self,
        digest: Digest,
        size: u64,
        index: u32,
        data: Bytes,
    ) -> Result<Progress, Fault> {
        if self.cut() {
            if self.deaf {
                self.pass(index);
                self.store.put(digest, size, index, data).await?;
            }
            return Err(Fault::Cut);
        }
        self.pass(index);
        Ok(self.store.put(digest, size, index, data).await?)
    }
}

impl ChunkSource for Link<'_> {
    type Error = Fault;

    async fn chunk(&self, digest: Digest, index: u32) -> Result<Bytes, Fault> {
        if self.cut() {
            return Err(Fault::Cut);
        }
        self.pass(index);
        Ok(self.store.chunk(digest, index).await?)
    }
}

#[tokio::test]
async fn an_upload_cut_at_any_chunk_goes_on_there_after_a_restart_of_the_store() {
    for deaf in [false, true] {
        for cut in 0..4 {
            let folder = tempfile::tempdir().unwrap();
            let payload = Payload::from_bytes(bytes(1));
            let first = store(&folder);
            let link = Link::new(&first, cut, deaf);
            let failed = upload(&link, &payload, Policy::NEVER).await.unwrap_err();
            assert!(matches!(failed, TransferError::Remote(Fault::Cut)), "{failed}");
            let arrived = cut + u32::from(deaf);
            assert_eq!(link.passed.lock().unwrap().len() as u32, arrived);
            drop(first);

            let second = store(&folder);
            let link = Link::new(&second, u32::MAX, false);
            let moved = upload(&link, &payload, Policy::NEVER).await.unwrap();
            assert_eq!(moved.chunks, 4 - arrived, "cut after {cut}, deaf {deaf}");
            assert_eq!(content(&second, payload.digest()).await, bytes(1));
            assert!(second.partial().is_empty());
            // And nothing is sent a third time.
            assert_eq!(upload(&link, &payload, Policy::NEVER).await.unwrap().chunks, 0);
        }
    }
}

#[tokio::test]
async fn a_download_cut_at_any_chunk_goes_on_there_after_a_restart() {
    let there = tempfile::tempdir().unwrap();
    let source = store(&there);
    let digest = source.put_all(bytes(2)).await.unwrap();
    let size = bytes(2).len() as u64;
    for cut in 0..4 {
        let folder = tempfile::tempdir().unwrap();
        let link = Link::new(&source, cut, false);
        let failed =
            download(&link, digest, size, &store(&folder), Policy::NEVER).await.unwrap_err();
        assert!(matches!(failed, TransferError::Remote(Fault::Cut)), "{failed}");
        let here = store(&folder);
        let link = Link::new(&source, u32::MAX, false);
        let moved = download(&link, digest, size, &here, Policy::NEVER).await.unwrap();
        assert_eq!(moved.chunks, 4 - cut);
        assert_eq!(content(&here, digest).await, bytes(2));
    }
}

/// Lets every second request through.
struct Flaky<'s>(&'s ChunkStore, AtomicBool);

impl ChunkSink for Flaky<'_> {
    type Error = Fault;

    async fn missing(&self, digest: Digest, size: u64) -> Result<Vec<u32>, Fault> {
        Ok(self.0.missing(digest, size).await?)
    }

    async fn put(
        &self,
        digest: Digest,
        size: u64,
        index: u32,
        data: Bytes,
    ) -> Result<Progress, Fault> {
        if self.1.fetch_xor(true, Ordering::SeqCst) {
            return Err(Fault::Cut);
        }
        Ok(self.0.put(digest, size, index, data).await?)
    }
}

#[tokio::test]
async fn tries_are_counted_for_each_chunk_and_not_for_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let here = store(&folder);
    let twice = Policy { attempts: wardround_net::retry::Attempts::AtMost(2), ..Policy::NEVER };
    let payload = Payload::from_bytes(bytes(3));
    let moved = upload(&Flaky(&here, AtomicBool::new(true)), &payload, twice).await.unwrap();
    assert_eq!((moved.chunks, moved.bytes), (4, payload.size()));
}

#[tokio::test]
async fn a_corrupted_chunk_is_found_and_the_payload_starts_over() {
    let folder = tempfile::tempdir().unwrap();
    let here = store(&folder);
    let payload = Payload::from_bytes(bytes(4));
    let (digest, size) = (payload.digest(), payload.size());
    for index in 0..4 {
        let mut chunk = payload.chunk(index).await.unwrap().to_vec();
        chunk[7] ^= u8::from(index == 2);
        let put = here.put(digest, size, index, chunk.into()).await;
        match index {
            3 => assert!(
                matches!(put, Err(StoreError::Corrupt { expected, .. }) if expected == digest)
            ),
            _ => assert_eq!(put.unwrap(), Progress::Missing(3 - index)),
        }
    }
    assert!(matches!(here.path(digest), Err(StoreError::Absent(_))));
    assert_eq!((here.used(), here.partial().len()), (0, 0));
    assert_eq!(std::fs::read_dir(folder.path().join("store")).unwrap().count(), 0);
    let moved = upload(&here, &payload, Policy::NEVER).await.unwrap();
    assert_eq!(moved.chunks, 4);
    assert_eq!(content(&here, digest).await, bytes(4));
}

#[tokio::test]
async fn what_is_too_large_too_much_or_the_wrong_shape_is_refused_with_both_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let here = store(&folder);
    let digest = |n: u8| Digest::of(&[n]);
    let error = here.missing(digest(0), (8 << 20) + 1).await.unwrap_err();
    assert_eq!(error.to_string(), "the payload has 8388609 bytes, the limit is 8388608");
    assert!(matches!(
        here.missing(digest(0), u64::MAX).await,
        Err(StoreError::TooLarge { size: u64::MAX, .. })
    ));
    for n in 0..2 {
        here.missing(digest(n), 8 << 20).await.unwrap();
    }
    let error = here.missing(digest(2), 5 << 20).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the payload needs 5242880 bytes, the store has room for 4194304"
    );
    let error = here.missing(digest(0), 1).await.unwrap_err();
    assert!(matches!(error, StoreError::OtherSize { known: 8388608, claimed: 1, .. }), "{error}");
    let put = |index, length: usize| here.put(digest(0), 8 << 20, index, vec![0; length].into());
    assert!(matches!(
        put(0, 5).await,
        Err(StoreError::ChunkLength { expected: CHUNK_BYTES, found: 5, .. })
    ));
    assert!(matches!(put(16, 5).await, Err(StoreError::NoSuchChunk { index: 16, .. })));
    here.remove(digest(0)).await.unwrap();
    assert_eq!(here.used(), 8 << 20);
    here.missing(digest(2), 5 << 20).await.unwrap();
    assert_eq!(store(&folder).used(), 13 << 20);
}

/// Answers with too many bytes, or asks for what isn't there.
struct Liar;

impl ChunkSource for Liar {
    type Error = Fault;

    async fn chunk(&self, _: Digest, _: u32) -> Result<Bytes, Fault> {
        Ok(vec![0; CHUNK_BYTES as usize + 1].into())
    }
}

impl ChunkSink for Liar {
    type Error = Fault;

    async fn missing(&self, _: Digest, _: u64) -> Result<Vec<u32>, Fault> {
        Ok(vec![99])
    }

    async fn put(&self, _: Digest, _: u64, _: u32, _: Bytes) -> Result<Progress, Fault> {
        Ok(Progress::Missing(1))
    }
}

#[tokio::test]
async fn a_lying_other_side_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let here = store(&folder);
    let payload = Payload::from_bytes(bytes(5));
    let error =
        download(&Liar, payload.digest(), payload.size(), &here, Policy::NEVER).await.unwrap_err();
    assert!(matches!(error, TransferError::Store(StoreError::ChunkLength { .. })), "{error}");
    let error = upload(&Liar, &payload, Policy::NEVER).await.unwrap_err();
    assert!(matches!(error, TransferError::NoSuchChunk { index: 99, count: 4 }), "{error}");
}

#[tokio::test]
async fn files_small_and_empty_payloads_arrive() {
    let folder = tempfile::tempdir().unwrap();
    let here = store(&folder);
    let path = folder.path().join("file");
    for length in [0, 1, CHUNK_BYTES as usize, CHUNK_BYTES as usize + 1] {
        let content = bytes(6).slice(..length);
        std::fs::write(&path, &content).unwrap();
        let payload = Payload::open(&path).await.unwrap();
        assert_eq!(payload.digest(), Digest::of(&content));
        upload(&here, &payload, Policy::NEVER).await.unwrap();
        assert_eq!(self::content(&here, payload.digest()).await, content);
        assert!(payload.chunk(chunk_count(length as u64).unwrap()).await.is_err());
    }
    assert!(matches!(here.missing(Digest::of(b"x"), 0).await, Err(StoreError::Corrupt { .. })));
}

#[tokio::test]
async fn a_crash_at_its_worst_moments_loses_no_payload_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let payload = Payload::from_bytes(bytes(7));
    let (digest, size) = (payload.digest(), payload.size());
    let file = |suffix: &str| folder.path().join("store").join(format!("{digest}{suffix}"));
    // Between the data file and its map.
    store(&folder).missing(digest, size).await.unwrap();
    std::fs::remove_file(file(".map")).unwrap();
    let here = store(&folder);
    assert_eq!((here.used(), file(".part").exists()), (0, false));
    // After the last chunk, before the check.
    for index in 0..3 {
        here.put(digest, size, index, payload.chunk(index).await.unwrap()).await.unwrap();
    }
    drop(here);
    std::fs::write(file(".part"), bytes(7)).unwrap();
    let mut map = size.to_le_bytes().to_vec();
    map.push(0b1111);
    std::fs::write(file(".map"), map).unwrap();
    let here = store(&folder);
    assert_eq!(here.missing(digest, size).await.unwrap(), Vec::<u32>::new());
    assert_eq!(content(&here, digest).await, bytes(7));
    assert!(!file(".map").exists());
    drop(here);
    // Between the move to its place and the end of its map, and amid writing a map.
    std::fs::write(file(".map"), b"x").unwrap();
    std::fs::write(file(".map.7.new"), b"x").unwrap();
    let here = store(&folder);
    assert_eq!((here.used(), here.partial().len()), (size, 0));
    assert_eq!(std::fs::read_dir(folder.path().join("store")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_senders_of_the_same_payload_agree() {
    let folder = tempfile::tempdir().unwrap();
    let here = store(&folder);
    let payload = Payload::from_bytes(bytes(8));
    let senders: Vec<_> = (0..8)
        .map(|_| {
            let (here, payload) = (here.clone(), payload.clone());
            tokio::spawn(async move { upload(&here, &payload, Policy::NEVER).await.map(drop) })
        })
        .collect();
    for sender in senders {
        sender.await.unwrap().unwrap();
    }
    assert_eq!(content(&here, payload.digest()).await, bytes(8));
    assert_eq!(here.used(), payload.size());
}

#[test]
fn chunks_cover_a_payload_exactly() {
    for size in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 10 * CHUNK_BYTES + 5] {
        let count = chunk_count(size).unwrap();
        assert_eq!((0..count).map(|n| chunk_length(size, n)).sum::<u64>(), size);
        assert_eq!(chunk_length(size, count), 0);
    }
    assert_eq!(chunk_count(u64::MAX), None);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Any order of puts with any repetitions, with restarts of the store between them, completes the
    /// payload at the moment its last missing chunk comes, and never before.
    #[test]
    fn any_interleaving_of_puts_completes(
        order in prop::collection::vec((0u32..4, prop::bool::weighted(0.2)), 0..10),
        rest in Just([0u32, 1, 2, 3]).prop_shuffle(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let payload = Payload::from_bytes(bytes(9));
            let (digest, size) = (payload.digest(), payload.size());
            let mut here = store(&folder);
            let mut seen = std::collections::BTreeSet::new();
            for (index, restart) in order.into_iter().chain(rest.map(|index| (index, false))) {
                if restart {
                    drop(here);
                    here = store(&folder);
                }
                let put = here.put(digest, size, index, payload.chunk(index).await.unwrap());
                let progress = put.await.unwrap();
                seen.insert(index);
                let missing = 4 - seen.len() as u32;
                let expected =
                    if missing == 0 { Progress::Complete } else { Progress::Missing(missing) };
                assert_eq!(progress, expected);
                assert_eq!(here.path(digest).is_ok(), missing == 0);
            }
            assert_eq!(content(&here, digest).await, bytes(9));
        });
    }
}
