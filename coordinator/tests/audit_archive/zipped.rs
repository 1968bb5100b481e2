//! Archives taken apart and put together again, as somebody with a zip program and patience would.

use std::collections::BTreeMap;
use std::io::{Cursor, Read as _, Write as _};

use wardround::archive::{Entry, Head, JournalLine, Manifest};
use wardround::store::{JournalEntry, Kept};
use wardround_core::digest::Digest;
use wardround_core::sum::Sum;
use wardround_learn::cohort::Purpose;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter};

/// The files of an archive.
#[derive(Clone)]
pub struct Files(pub BTreeMap<String, Vec<u8>>);

impl Files {
    pub fn of(archive: &[u8]) -> Self {
        let mut zip = ZipArchive::new(Cursor::new(archive)).unwrap();
        let mut files = BTreeMap::new();
        for index in 0..zip.len() {
            let mut entry = zip.by_index(index).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.name().to_owned(), bytes);
        }
        Self(files)
    }

    /// Put together as an export would, whatever is in them.
    pub fn zip(&self) -> Vec<u8> {
        self.zip_with(CompressionMethod::Stored)
    }

    pub fn zip_with(&self, method: CompressionMethod) -> Vec<u8> {
        let options = SimpleFileOptions::default()
            .compression_method(method)
            .last_modified_time(DateTime::default());
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in &self.0 {
            zip.start_file(name.as_str(), options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.0[name].clone()).unwrap()
    }

    pub fn set(&mut self, name: &str, bytes: impl Into<Vec<u8>>) {
        self.0.insert(name.to_owned(), bytes.into());
    }

    pub fn manifest(&self) -> Manifest {
        serde_json::from_slice(&self.0["manifest.json"]).unwrap()
    }

    pub fn set_manifest(&mut self, manifest: &Manifest) {
        self.set("manifest.json", serde_json::to_vec_pretty(manifest).unwrap());
    }

    /// Writes a manifest that fits the files.
    pub fn list_again(&mut self) {
        let mut manifest = self.manifest();
        // What is signed is about the manifest, which can't list it.
        let unlisted = ["manifest.json", "attestation.json", "attestation.sig"];
        let others = self.0.iter().filter(|(name, _)| !unlisted.contains(&name.as_str()));
        let entry = |(name, bytes): (&String, &Vec<u8>)| Entry {
            name: name.clone(),
            bytes: bytes.len() as u64,
            digest: Digest::of(bytes),
        };
        manifest.entries = others.map(entry).collect();
        self.set_manifest(&manifest);
    }

    pub fn journal(&self) -> Vec<JournalLine> {
        self.text("journal.jsonl").lines().map(|l| serde_json::from_str(l).unwrap()).collect()
    }

    pub fn set_journal(&mut self, journal: &[JournalLine]) {
        let line = |line| serde_json::to_string(line).unwrap() + "\n";
        self.set("journal.jsonl", journal.iter().map(line).collect::<String>());
    }

    /// Numbers and chains the journal anew, and has manifest and report say the same.
    pub fn chain_again(&mut self, mut journal: Vec<JournalLine>) {
        let mut manifest = self.manifest();
        let Head::Line { chain: old } = manifest.journal.head else { panic!("no line") };
        let mut before = None;
        for (number, line) in (1..).zip(&mut journal) {
            line.sequence = number;
            let study = &manifest.study.id;
            line.chain = JournalEntry::link(before.as_ref(), study, &line.receipt(), &line.kept);
            before = Some(line.chain);
        }
        let chain = before.unwrap();
        manifest.journal.lines = journal.len() as u64;
        manifest.journal.head = Head::Line { chain };
        self.set_manifest(&manifest);
        self.set_journal(&journal);
        for name in ["report.json", "report.html"] {
            let text = self.text(name).replace(&old.to_string(), &chain.to_string());
            self.set(name, text);
        }
        self.list_again();
    }

    pub fn total(&self, line: &JournalLine) -> Sum {
        let packed = &self.0[&total_name(&line.total)];
        Sum::decode(&zstd::decode_all(packed.as_slice()).unwrap()).unwrap()
    }

    /// Puts another total in a line's place; its line still needs a chain.
    pub fn set_total(&mut self, line: &mut JournalLine, bytes: &[u8]) {
        self.0.remove(&total_name(&line.total));
        line.total = Digest::of(bytes);
        self.set(&total_name(&line.total), zstd::encode_all(bytes, 3).unwrap());
    }
}

impl Files {
    /// What a line keeps in its total's place, unpacked.
    pub fn decision(&self, line: &JournalLine) -> Vec<u8> {
        let Kept::Decision { digest, .. } = line.kept else { panic!("a total") };
        zstd::decode_all(self.0[&decision_name(&digest)].as_slice()).unwrap()
    }

    /// Puts another decision in a line's place; its line still needs a chain.
    pub fn set_decision(&mut self, line: &mut JournalLine, bytes: &[u8]) {
        let digest = Digest::of(bytes);
        let purpose = match line.kept {
            Kept::Total => Purpose(Digest::of(b"made up")),
            Kept::Decision { purpose, .. } => purpose,
        };
        line.kept = Kept::Decision { purpose, digest };
        self.set(&decision_name(&digest), zstd::encode_all(bytes, 3).unwrap());
    }

    /// Drops decisions that no line names.
    pub fn drop_strays(&mut self, journal: &[JournalLine]) {
        let named = |name: &str| {
            journal.iter().any(|line| match line.kept {
                Kept::Total => false,
                Kept::Decision { digest, .. } => decision_name(&digest) == name,
            })
        };
        self.0.retain(|name, _| !name.starts_with("decisions/") || named(name));
    }
}

pub fn decision_name(decision: &Digest) -> String {
    format!("decisions/{decision}.zst")
}

pub fn total_name(total: &Digest) -> String {
    format!("totals/{total}.zst")
}
