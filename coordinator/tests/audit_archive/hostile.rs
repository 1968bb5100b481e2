use std::sync::LazyLock;

use wardround::archive::ArchiveError;
use wardround::replay::verify;
use wardround_core::digest::Digest;
use zip::CompressionMethod;

use crate::made::{Fate, done};
use crate::zipped::{Files, total_name};

static ARCHIVE: LazyLock<Vec<u8>> = LazyLock::new(|| done(3, Fate::Smooth).archive());

fn files() -> Files {
    Files::of(&ARCHIVE)
}

fn refused(bytes: &[u8]) -> ArchiveError {
    verify(bytes).unwrap_err()
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for name in ["../evil", "/etc/passwd", "totals/../../evil.zst", "totals/", "C:\\evil", "x"] {
        let mut files = files();
        files.set(name, *b"evil");
        let error = refused(&files.zip());
        assert!(matches!(&error, ArchiveError::Unexpected(got) if got == name), "{error}");
    }
}

#[test]
fn entries_that_the_manifest_doesnt_list_and_totals_without_a_line_are_refused() {
    let mut files = files();
    let stray = total_name(&Digest::of(b"stray"));
    files.set(&stray, *b"stray");
    let unexpected = |files: &Files| matches!(refused(&files.zip()), ArchiveError::Unexpected(name) if name == stray);
    assert!(unexpected(&files));
    files.list_again();
    assert!(unexpected(&files));
}

#[test]
fn compressed_entries_are_refused() {
    let error = refused(&files().zip_with(CompressionMethod::Deflated));
    assert!(matches!(error, ArchiveError::NotStored(_)), "{error}");
}

#[test]
fn a_total_that_unpacks_to_more_than_its_line_says_is_refused() {
    let (mut files, mut lines) = (files(), files().journal());
    let bomb = vec![0u8; 64 << 20];
    files.set_total(&mut lines[1], &bomb);
    files.chain_again(lines.clone());
    let error = refused(&files.zip());
    assert!(error.to_string().contains("unpacks to more than"), "{error}");

    // The line says that it has that many numbers: then it is unpacked, but each is a byte of at
    // most one number, so nothing larger is made of it.
    lines[1].numbers = 7 << 20;
    files.chain_again(lines);
    let error = refused(&files.zip());
    assert!(error.to_string().contains("has more than the 7340032 numbers"), "{error}");
}

#[test]
fn a_decision_that_unpacks_to_too_much_is_refused() {
    let (mut files, mut lines) = (files(), files().journal());
    files.set_decision(&mut lines[1], &vec![0u8; (64 << 20) + 1]);
    files.0.remove(&total_name(&lines[1].total));
    files.chain_again(lines);
    let error = refused(&files.zip());
    assert!(error.to_string().contains("unpacks to more than"), "{error}");
}

#[test]
fn bytes_beside_the_entries_are_refused() {
    let archive = &*ARCHIVE;
    let tail = archive.len() - 22;
    for other in [
        [b"#!/bin/sh\n", archive.as_slice()].concat(),
        [archive.as_slice(), b"more"].concat(),
        [&archive[..tail], b"more", &archive[tail..]].concat(),
    ] {
        refused(&other);
    }

    // An entry that the directory doesn't know: the end of one archive behind the entries of two.
    let mut hidden = files();
    hidden.0.retain(|name, _| name == "study.toml");
    let hidden = hidden.zip();
    let signature = b"PK\x01\x02";
    let directory = |bytes: &[u8]| bytes.windows(4).position(|four| four == signature).unwrap();
    let at = directory(archive);
    let mut both = archive[..at].to_vec();
    let inserted = &hidden[..directory(&hidden)];
    both.extend_from_slice(inserted);
    both.extend_from_slice(&archive[at..]);
    // The directory's place stands 6 bytes before the end.
    let place = both.len() - 6;
    let moved = (at + inserted.len()) as u32;
    both[place..place + 4].copy_from_slice(&moved.to_le_bytes());
    let error = refused(&both);
    assert!(matches!(error, ArchiveError::Stray(_)), "{error}");
}

#[test]
fn cut_files_and_other_files_are_refused() {
    let archive = &*ARCHIVE;
    for cut in [0, 1, 30, 1000, archive.len() / 2, archive.len() - 1] {
        assert!(verify(&archive[..cut]).is_err(), "cut at {cut}");
    }
    assert!(matches!(refused(b"no zip"), ArchiveError::Zip(_)));
    for step in (0..archive.len()).step_by(archive.len() / 300) {
        let mut flipped = archive.clone();
        flipped[step] ^= 0xff;
        // A date or a checksum may change unnoticed; nothing else, and nothing panics.
        if let Ok(verified) = verify(&flipped) {
            assert_eq!(verified, verify(archive).unwrap());
        }
    }
}

#[test]
fn a_later_format_is_named_before_anything_else_is_read() {
    let mut files = files();
    files.set("manifest.json", *br#"{"format": 3, "more": []}"#);
    assert!(matches!(refused(&files.zip()), ArchiveError::Format(3)));

    let mut files = self::files();
    let mut manifest = files.manifest();
    manifest.journal.algorithm = 9;
    files.set_manifest(&manifest);
    assert!(refused(&files.zip()).to_string().contains("algorithm 9"));

    manifest.journal.algorithm = 1;
    manifest.entries.push(manifest.entries[0].clone());
    files.set_manifest(&manifest);
    assert!(refused(&files.zip()).to_string().contains("twice"));
}
