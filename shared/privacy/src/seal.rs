//! Sealing of single sites' answers in the coordinator's journal.
//!
//! Each site's answers to each study lie under a key of their own, which lies wrapped under the
//! coordinator's master key. Destroying the wrapped key makes that site's answers of that study
//! unreadable for good, while their digests, and so the journal's chain, stay. Whoever stores
//! wrapped keys must really remove them (SQLite: `PRAGMA secure_delete = ON`).
//!
//! AES-256-GCM (NIST SP 800-38D) by aws-lc-rs, 96-bit nonces from the operating system: random
//! nonces are safe for 2^32 messages per key, and a study asks some hundreds. What is sealed is
//! bound to study, site and query, so that an answer can't be passed off as another.
//!
//! Layout of sealed bytes: format (1), nonce (12), ciphertext, tag (16).

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use zeroize::{Zeroize, Zeroizing};

/// Length of a key in bytes.
pub const KEY_BYTES: usize = 32;

const FORMAT: u8 = 1;
const HEADER: usize = 1 + NONCE_LEN;

/// Why something can't be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The operating system gives no randomness.
    #[error("the operating system gave no random bytes")]
    Random,
    /// The bytes don't open: another key, another study, site or query, or damaged.
    #[error("sealed bytes don't open: another key, another study, site or query, or damaged")]
    Refused,
    /// Not sealed by this software.
    #[error("expected sealed bytes of format {FORMAT}, got {0}")]
    Format(String),
    /// The master key's file can't be read or written.
    #[error("master key: {0}")]
    Io(#[from] io::Error),
    /// The master key's file has another length.
    #[error("expected a master key of {KEY_BYTES} bytes, got {0}")]
    KeyLength(u64),
    /// Others can read the master key.
    #[error("the master key's file is open to others (mode {0:o}); only its owner may read it")]
    OpenToOthers(u32),
}

/// What sealed bytes are: bound to them, not part of them.
#[derive(Debug, Clone, Copy)]
pub struct AnswerTo<'a> {
    /// The study.
    pub study: &'a StudyId,
    /// Whose answer.
    pub site: &'a SiteId,
    /// The query that was answered.
    pub query: Digest,
}

impl AnswerTo<'_> {
    fn bound(&self) -> Digest {
        let (study, site) = (self.study.as_str(), self.site.as_str());
        let parts: [&[u8]; 4] =
            [b"wardround answer", study.as_bytes(), site.as_bytes(), self.query.as_bytes()];
        Digest::of_parts(parts)
    }
}

/// The key of one site's answers to one study. Shown nowhere, and wiped when dropped.
pub struct SealingKey(Zeroizing<[u8; KEY_BYTES]>);

impl SealingKey {
    /// A new key from the operating system's randomness.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn random() -> Result<Self, SealError> {
        random_key().map(Self)
    }

    /// Seals an answer.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn seal(&self, to: &AnswerTo<'_>, answer: &[u8]) -> Result<Vec<u8>, SealError> {
        seal(&self.0, to.bound(), answer)
    }

    /// Opens a sealed answer.
    ///
    /// # Errors
    /// [`SealError::Format`] or [`SealError::Refused`].
    pub fn open(&self, to: &AnswerTo<'_>, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open(&self.0, to.bound(), sealed)
    }
}

/// The coordinator's key over all sealing keys. Shown nowhere, and wiped when dropped.
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// Reads the key file, or makes it with a new key, readable by its owner only.
    ///
    /// # Errors
    /// [`SealError`]: not readable or writable, wrong length, open to others, or no randomness.
    pub fn open_or_create(path: &Path) -> Result<Self, SealError> {
        match File::open(path) {
            Ok(file) => Self::read(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::create(path),
            Err(error) => Err(error.into()),
        }
    }

    /// Wraps a sealing key for storage.
    ///
    /// # Errors
    /// [`SealError::Random`].
    pub fn wrap(
        &self,
        study: &StudyId,
        site: &SiteId,
        key: &SealingKey,
    ) -> Result<Vec<u8>, SealError> {
        seal(&self.0, key_of(study, site), &key.0[..])
    }

    /// Unwraps a stored sealing key.
    ///
    /// # Errors
    /// [`SealError::Format`] or [`SealError::Refused`].
    pub fn unwrap(
        &self,
        study: &StudyId,
        site: &SiteId,
        wrapped: &[u8],
    ) -> Result<SealingKey, SealError> {
        let bytes = Zeroizing::new(open(&self.0, key_of(study, site), wrapped)?);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        if bytes.len() != KEY_BYTES {
            return Err(SealError::Format(format!("a key of {} bytes", bytes.len())));
        }
        key.copy_from_slice(&bytes);
        Ok(SealingKey(key))
    }

    fn read(mut file: File) -> Result<Self, SealError> {
        let meta = file.metadata()?;
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&meta.permissions()) & 0o777;
            if mode & 0o077 != 0 {
                return Err(SealError::OpenToOthers(mode));
            }
        }
        if meta.len() != KEY_BYTES as u64 {
            return Err(SealError::KeyLength(meta.len()));
        }
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        file.read_exact(&mut key[..])?;
        Ok(Self(key))
    }

    /// Written beside and renamed, so that a kill leaves no half key.
    fn create(path: &Path) -> Result<Self, SealError> {
        let key = random_key()?;
        let beside = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = options.open(&beside)?;
        file.write_all(&key[..])?;
        file.sync_all()?;
        std::fs::rename(&beside, path)?;
        Ok(Self(key))
    }
}

fn key_of(study: &StudyId, site: &SiteId) -> Digest {
    let (study, site) = (study.as_str(), site.as_str());
    Digest::of_parts([b"wardround sealing key" as &[u8], study.as_bytes(), site.as_bytes()])
}

fn random_key() -> Result<Zeroizing<[u8; KEY_BYTES]>, SealError> {
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    rand::fill(&mut key[..]).map_err(|_| SealError::Random)?;
    Ok(key)
}

fn cipher(key: &[u8; KEY_BYTES]) -> LessSafeKey {
    let key = UnboundKey::new(&AES_256_GCM, key).expect("AES-256 takes any key of 32 bytes");
    LessSafeKey::new(key)
}

fn seal(key: &[u8; KEY_BYTES], bound: Digest, plain: &[u8]) -> Result<Vec<u8>, SealError> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| SealError::Random)?;
    let mut sealed = Vec::with_capacity(HEADER + plain.len() + AES_256_GCM.tag_len());
    sealed.push(FORMAT);
    sealed.extend_from_slice(&nonce);
    sealed.extend_from_slice(plain);
    let nonce = Nonce::assume_unique_for_key(nonce);
    let aad = Aad::from(bound.as_bytes());
    let tag = cipher(key)
        .seal_in_place_separate_tag(nonce, aad, &mut sealed[HEADER..])
        .inspect_err(|_| sealed.zeroize());
    // AES-GCM refuses only plaintexts beyond 64 GiB.
    sealed.extend_from_slice(tag.map_err(|_| SealError::Refused)?.as_ref());
    Ok(sealed)
}

fn open(key: &[u8; KEY_BYTES], bound: Digest, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
    match sealed.first() {
        Some(&FORMAT) => {}
        Some(other) => return Err(SealError::Format(format!("format {other}"))),
        None => return Err(SealError::Format("no bytes".into())),
    }
    if sealed.len() < HEADER + AES_256_GCM.tag_len() {
        return Err(SealError::Format(format!("{} bytes", sealed.len())));
    }
    let (header, body) = sealed.split_at(HEADER);
    let nonce = Nonce::try_assume_unique_for_key(&header[1..]).map_err(|_| SealError::Refused)?;
    let mut body = body.to_vec();
    let plain = cipher(key)
        .open_in_place(nonce, Aad::from(bound.as_bytes()), &mut body)
        .map_err(|_| SealError::Refused)?
        .len();
    body.truncate(plain);
    Ok(body)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn ids() -> (StudyId, SiteId) {
        (StudyId::parse("s1").unwrap(), SiteId::parse("north").unwrap())
    }

    #[test]
    fn what_is_sealed_opens_under_the_same_key_and_context_only() {
        let (study, site) = ids();
        let to = AnswerTo { study: &study, site: &site, query: Digest::of(b"q") };
        let key = SealingKey::random().unwrap();
        let sealed = key.seal(&to, b"an answer").unwrap();
        assert_eq!(key.open(&to, &sealed).unwrap(), b"an answer");
        assert!(!sealed.windows(6).any(|window| window == b"answer"));
        assert_ne!(sealed, key.seal(&to, b"an answer").unwrap(), "a nonce was used twice");
        let (other_study, other_site) =
            (StudyId::parse("s2").unwrap(), SiteId::parse("south").unwrap());
        for wrong in [
            AnswerTo { study: &other_study, ..to },
            AnswerTo { site: &other_site, ..to },
            AnswerTo { query: Digest::of(b"another"), ..to },
        ] {
            assert!(matches!(key.open(&wrong, &sealed), Err(SealError::Refused)));
        }
        let other = SealingKey::random().unwrap();
        assert!(matches!(other.open(&to, &sealed), Err(SealError::Refused)));
    }

    #[test]
    fn damaged_bytes_dont_open() {
        let (study, site) = ids();
        let to = AnswerTo { study: &study, site: &site, query: Digest::of(b"q") };
        let key = SealingKey::random().unwrap();
        let sealed = key.seal(&to, b"x").unwrap();
        for bit in 0..sealed.len() * 8 {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(key.open(&to, &flipped).is_err(), "bit {bit}");
        }
        for kept in 0..sealed.len() {
            assert!(key.open(&to, &sealed[..kept]).is_err(), "{kept} bytes");
        }
        let longer = [&sealed[..], b"\0"].concat();
        assert!(key.open(&to, &longer).is_err());
    }

    #[test]
    fn a_destroyed_key_takes_one_sites_answers_with_it() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("master.key");
        let (study, north) = ids();
        let south = SiteId::parse("south").unwrap();
        let master = MasterKey::open_or_create(&path).unwrap();
        let mut stored = Vec::new();
        for site in [&north, &south] {
            let to = AnswerTo { study: &study, site, query: Digest::of(b"q") };
            let key = SealingKey::random().unwrap();
            let sealed = key.seal(&to, site.as_str().as_bytes()).unwrap();
            stored.push((master.wrap(&study, site, &key).unwrap(), sealed));
        }
        drop(master);
        // North's key is destroyed: its wrapped bytes are gone, its sealed answer stays.
        let (_, norths_answer) = stored.remove(0);
        let (wrapped, souths_answer) = stored.remove(0);
        let master = MasterKey::open_or_create(&path).unwrap();
        assert!(matches!(master.unwrap(&study, &north, &wrapped), Err(SealError::Refused)));
        let key = master.unwrap(&study, &south, &wrapped).unwrap();
        let to = AnswerTo { study: &study, site: &south, query: Digest::of(b"q") };
        assert_eq!(key.open(&to, &souths_answer).unwrap(), b"south");
        let norths = AnswerTo { site: &north, ..to };
        assert!(key.open(&norths, &norths_answer).is_err());
    }

    #[test]
    fn a_master_key_of_wrong_length_or_open_to_others_is_refused() {
        let dir = TempDir::new().unwrap();
        let path = dir.path().join("master.key");
        MasterKey::open_or_create(&path).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = |mode| {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            };
            mode(0o640);
            let refused = MasterKey::open_or_create(&path);
            assert!(matches!(refused, Err(SealError::OpenToOthers(0o640))));
            mode(0o600);
        }
        std::fs::write(&path, [0; 31]).unwrap();
        assert!(matches!(MasterKey::open_or_create(&path), Err(SealError::KeyLength(31))));
    }
}
