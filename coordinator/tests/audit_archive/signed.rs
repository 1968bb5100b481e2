//! Archives that the coordinator signed: judged at the time of signing, and held to a root.

use std::process::Command;
use std::sync::LazyLock;
use std::time::Duration;

use wardround::archive::{
    ArchiveError, Attestation, FORMAT, Signature, SignedBy, VouchedFor, export,
};
use wardround::replay::{replay_held_to, verify, verify_held_to};
use wardround_core::clock::{Clock as _, SystemClock, Timestamp};
use wardround_core::digest::Digest;
use wardround_net::pki::{
    Authority, Fingerprint, HeldTo, SIGNER_LIFETIME, SignatureError, Signer, certificates_from_pem,
};

use crate::made::{self, Fate, HEART, Made, done, site};
use crate::zipped::Files;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A consortium, its study and its signing key, all of 1970.
struct Consortium {
    authority: Authority,
    signer: Signer,
    made: Made,
}

const SIGNED: Timestamp = Timestamp(5_000);

static CONSORTIUM: LazyLock<Consortium> = LazyLock::new(|| {
    wardround_net::install_crypto_provider();
    let authority = Authority::in_memory("Test", Timestamp(1)).unwrap();
    let signer = authority.signer_in_memory(SIGNER_LIFETIME, Timestamp(1)).unwrap();
    let made = made::with_everything(&authority);
    Consortium { authority, signer, made }
});

static ARCHIVE: LazyLock<Files> =
    LazyLock::new(|| Files::of(&archive_of(&CONSORTIUM.made, &CONSORTIUM.signer, SIGNED)));

/// An archive with everything in it.
pub fn with_everything() -> Vec<u8> {
    archive_of(&CONSORTIUM.made, &CONSORTIUM.signer, SIGNED)
}

fn archive_of(made: &Made, signer: &Signer, at: Timestamp) -> Vec<u8> {
    export(&made.store, &made.study, SignedBy::Signer { signer, at }).unwrap().bytes
}

fn refused(files: &Files) -> ArchiveError {
    verify(&files.zip()).unwrap_err()
}

fn why_not(error: ArchiveError) -> SignatureError {
    match error {
        ArchiveError::Signature(error) => error,
        other => panic!("{other}"),
    }
}

/// Makes everything fit again and signs it, as whoever holds this key can.
fn sign_again(files: &mut Files, signer: &Signer, at: Timestamp) {
    files.set("ca.pem", signer.root_pem());
    files.set("signer.pem", signer.certificate_pem());
    files.list_again();
    state_again(files, signer, at);
}

/// Signs the manifest as it is.
fn state_again(files: &mut Files, signer: &Signer, at: Timestamp) {
    let attestation = Attestation {
        signs: "wardround archive".into(),
        study: files.manifest().study.id,
        manifest: Digest::of(&files.0["manifest.json"]),
        signed_ms: at.0,
    };
    let bytes = serde_json::to_vec(&attestation).unwrap();
    files.set("attestation.sig", signer.sign(&bytes).unwrap());
    files.set("attestation.json", bytes);
}

#[test]
fn a_signed_archive_says_by_whom_and_when_and_holds_what_belongs_to_the_study() {
    let verified = verify(&ARCHIVE.zip()).unwrap();
    let root = CONSORTIUM.authority.fingerprint().to_string();
    let VouchedFor::Signed { signed, ca, ca_name, ca_compared, .. } = &verified.signature else {
        panic!("unsigned");
    };
    assert_eq!(signed, "1970-01-01T00:00:05Z");
    assert_eq!((ca, ca_name.as_str()), (&root, "CN=Wardround consortium Test"));
    assert!(!ca_compared);

    let manifest = ARCHIVE.manifest();
    assert_eq!((manifest.format, manifest.signature), (FORMAT, Signature::Beside));
    let names: Vec<&str> = ARCHIVE.0.keys().map(String::as_str).collect();
    for name in ["ca.pem", "certificates.pem", "signer.pem", "attestation.json", "attestation.sig"]
    {
        assert!(names.contains(&name), "{name}");
    }
    // Its parent first, whose file is the one that was changed last.
    let [parent, first] = &verified.versions[..] else { panic!("{:?}", verified.versions) };
    assert!(ARCHIVE.text(&format!("versions/{parent}.toml")).contains("folds = 4"));
    assert!(ARCHIVE.text(&format!("versions/{first}.toml")).contains("c = [0.1]\n"));
    // The lead's and two sites'; not the one from a day later, nor that of a site without part.
    assert_eq!(verified.certificates, 3);
    assert_eq!(verified.without_certificate, [site(2)]);
    assert_eq!(certificates_from_pem(&ARCHIVE.0["certificates.pem"]).unwrap().len(), 3);
    assert!(manifest.sites.iter().all(|site| site.software == "0.1.0"));
    // Whatever is signed again has the same bytes but for the attestation.
    let again = Files::of(&archive_of(&CONSORTIUM.made, &CONSORTIUM.signer, Timestamp(9_000)));
    let differ: Vec<&String> =
        again.0.keys().filter(|name| again.0[*name] != ARCHIVE.0[*name]).collect();
    assert_eq!(differ, ["attestation.json", "attestation.sig"]);
}

#[test]
fn an_archive_is_held_to_the_root_that_is_asked_for() {
    let archive = ARCHIVE.zip();
    let ours = HeldTo::Root(CONSORTIUM.authority.fingerprint());
    let verified = verify_held_to(&archive, &ours).unwrap();
    assert!(matches!(verified.signature, VouchedFor::Signed { ca_compared: true, .. }));
    assert_eq!(replay_held_to(&archive, &ours).unwrap().signature, verified.signature);

    // Somebody makes a root of the same name and signs whatever they like: only the comparison tells.
    let other = Authority::in_memory("Test", Timestamp(1)).unwrap();
    let forger = other.signer_in_memory(SIGNER_LIFETIME, Timestamp(1)).unwrap();
    let mut forged = ARCHIVE.clone();
    forged.0.remove("certificates.pem");
    sign_again(&mut forged, &forger, SIGNED);
    let forged = forged.zip();
    assert!(matches!(verify(&forged).unwrap().signature, VouchedFor::Signed { .. }));
    let error = verify_held_to(&forged, &ours).unwrap_err();
    assert!(matches!(error, ArchiveError::OtherRoot { .. }), "{error}");
    assert!(replay_held_to(&forged, &ours).is_err());

    // Or takes the signature away.
    let mut unsigned = ARCHIVE.clone();
    unsigned.0.retain(|name, _| !name.starts_with("attestation."));
    let mut manifest = unsigned.manifest();
    manifest.signature = Signature::Absent;
    unsigned.set_manifest(&manifest);
    let unsigned = unsigned.zip();
    assert_eq!(verify(&unsigned).unwrap().signature, VouchedFor::Unsigned);
    let error = verify_held_to(&unsigned, &ours).unwrap_err();
    assert!(matches!(error, ArchiveError::Unsigned), "{error}");
}

#[test]
fn a_change_of_any_entry_is_found_though_the_manifest_fits() {
    for name in ARCHIVE.0.keys() {
        let length = ARCHIVE.0[name].len();
        for at in [0, length / 3, length / 2, length - 1] {
            let mut files = ARCHIVE.clone();
            files.0.get_mut(name).unwrap()[at] ^= 1;
            assert!(verify(&files.zip()).is_err(), "{name}, byte {at}");
            // Whoever writes a manifest to match can't sign it.
            if name != "manifest.json" {
                files.list_again();
                assert!(verify(&files.zip()).is_err(), "{name}, byte {at}, listed again");
            }
        }
        let mut files = ARCHIVE.clone();
        files.0.remove(name);
        assert!(verify(&files.zip()).is_err(), "without {name}");
        if name != "manifest.json" {
            files.list_again();
            assert!(verify(&files.zip()).is_err(), "without {name}, listed again");
        }
    }
    // The manifest itself, with something that contradicts nothing else.
    let mut files = ARCHIVE.clone();
    let mut manifest = files.manifest();
    manifest.study.ended_ms += 1;
    files.set_manifest(&manifest);
    let error = refused(&files).to_string();
    assert!(error.contains("another manifest was signed"), "{error}");
}

#[test]
fn what_is_wrong_with_a_signature_is_said() {
    let Consortium { authority, signer, .. } = &*CONSORTIUM;
    let other = Authority::in_memory("Other", Timestamp(1)).unwrap();
    let stranger = other.signer_in_memory(SIGNER_LIFETIME, Timestamp(1)).unwrap();

    // Another key's signature.
    let mut files = ARCHIVE.clone();
    state_again(&mut files, &stranger, SIGNED);
    assert_eq!(why_not(refused(&files)), SignatureError::Wrong);
    // Another root's certificate.
    let mut files = ARCHIVE.clone();
    files.set("signer.pem", stranger.certificate_pem());
    files.list_again();
    state_again(&mut files, &stranger, SIGNED);
    assert!(matches!(why_not(refused(&files)), SignatureError::Chain { .. }));
    // A root that is none.
    let mut files = ARCHIVE.clone();
    files.set("ca.pem", signer.certificate_pem());
    files.list_again();
    state_again(&mut files, signer, SIGNED);
    assert!(matches!(why_not(refused(&files)), SignatureError::NotARoot(_)));
    // A site's certificate.
    let mut files = ARCHIVE.clone();
    let certificates = files.text("certificates.pem");
    let (first, _) = certificates.split_once("-----END CERTIFICATE-----\n").unwrap();
    files.set("signer.pem", format!("{first}-----END CERTIFICATE-----\n"));
    files.list_again();
    assert!(matches!(why_not(refused(&files)), SignatureError::Usage(_)));
    // A certificate that hasn't begun, or is over.
    let brief = authority.signer_in_memory(DAY, Timestamp(0).plus_ms(3 * 86_400_000)).unwrap();
    for at in [SIGNED, Timestamp(5 * 86_400_000)] {
        let mut files = ARCHIVE.clone();
        sign_again(&mut files, &brief, at);
        let error = why_not(refused(&files));
        assert!(matches!(error, SignatureError::OutsideItsTime { what: "signing", .. }), "{error}");
    }
    let mut files = ARCHIVE.clone();
    sign_again(&mut files, &brief, Timestamp(3 * 86_400_000 + 1));
    verify(&files.zip()).unwrap();
    // A signature of something else that the key signed.
    let mut files = ARCHIVE.clone();
    let attestation = files.text("attestation.json").replace("wardround archive", "another thing");
    files.set("attestation.sig", signer.sign(attestation.as_bytes()).unwrap());
    files.set("attestation.json", attestation);
    assert!(refused(&files).to_string().contains("isn't about an archive"));
    // Format 1 knows no signature.
    let mut files = ARCHIVE.clone();
    let mut manifest = files.manifest();
    manifest.format = 1;
    files.set_manifest(&manifest);
    assert!(refused(&files).to_string().contains("format 1 knows no signature"));
}

#[test]
fn certificates_of_others_and_of_another_time_are_refused() {
    let Consortium { signer, made, .. } = &*CONSORTIUM;
    let of = |at: usize| made.store.certificates("site", site(at).as_str()).unwrap();
    for (pem, expected) in
        [(of(9).remove(0), "no part in the study"), (of(1).remove(1), "before or after the study")]
    {
        let mut files = ARCHIVE.clone();
        let all = files.text("certificates.pem") + &pem;
        files.set("certificates.pem", all);
        sign_again(&mut files, signer, SIGNED);
        let error = refused(&files).to_string();
        assert!(error.contains("certificate 4") && error.contains(expected), "{error}");
    }
    let mut files = ARCHIVE.clone();
    let stray = format!("versions/{}.toml", made.study);
    files.set(&stray, HEART);
    sign_again(&mut files, signer, SIGNED);
    assert!(matches!(refused(&files), ArchiveError::Unexpected(name) if name == stray));
}

fn wardround(arguments: &[&str]) -> (Option<i32>, String, String) {
    let ran = Command::new(env!("CARGO_BIN_EXE_wardround")).args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (ran.status.code(), text(ran.stdout), text(ran.stderr))
}

#[test]
fn ten_years_on_an_archive_is_verified_and_replayed_as_on_the_first_day() {
    wardround_net::install_crypto_provider();
    let folder = tempfile::tempdir().unwrap();
    // The clock of the program under test is the machine's: so the signing was ten years ago.
    let then = SystemClock.now().plus_ms(-3653 * 86_400_000);
    let authority = Authority::open_or_create(folder.path(), "Ten Years", then).unwrap();
    let signer = authority.signer(folder.path(), then).unwrap();
    let archive = archive_of(&done(3, Fate::Smooth), &signer, then);
    let verified = verify(&archive).unwrap();
    let VouchedFor::Signed { valid_to, signed, .. } = verified.signature else {
        panic!("unsigned");
    };
    assert!(valid_to < SystemClock.now().to_rfc3339() && signed == then.to_rfc3339());
    // The coordinator signs with a new key now, and the old one would be refused.
    let now = SystemClock.now();
    let newer = authority.signer(folder.path(), now).unwrap();
    assert_ne!(newer.certificate_pem(), signer.certificate_pem());
    let mut files = Files::of(&archive);
    state_again(&mut files, &signer, now);
    assert!(matches!(why_not(refused(&files)), SignatureError::OutsideItsTime { .. }));

    let path = folder.path().join("a.zip").display().to_string();
    std::fs::write(&path, &archive).unwrap();
    let fingerprint = authority.fingerprint().to_string();
    let ca = folder.path().join("ca.pem").display().to_string();
    for (command, root) in [("verify", &fingerprint), ("verify", &ca), ("replay", &ca)] {
        let (exit, out, error) = wardround(&["study", command, &path, "--ca", root]);
        assert_eq!(exit, Some(0), "{error}");
        assert!(out.contains("under the root asked for"), "{out}");
    }
    let (exit, out, _) = wardround(&["study", "verify", &path]);
    assert_eq!(exit, Some(0));
    assert!(out.contains(&fingerprint) && out.contains("compare the fingerprint"), "{out}");
    assert!(!out.contains("warning"), "{out}");
    let other = Fingerprint::of(b"another root").to_string();
    let (exit, _, error) = wardround(&["study", "replay", &path, "--ca", &other]);
    assert!(exit == Some(1) && error.contains("under another root"), "{error}");
    let (exit, _, error) = wardround(&["study", "verify", &path, "--ca", "sha256:12"]);
    assert!(exit == Some(4) && error.contains("64 hexadecimal digits"), "{error}");

    // An archive of a version that didn't sign yet.
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/journal-3-algorithm-1.zip");
    let (exit, out, _) = wardround(&["study", "verify", fixture]);
    assert!(exit == Some(0) && out.contains("warning: nobody signed it"), "{out}");
    let (exit, _, error) = wardround(&["study", "verify", fixture, "--ca", &fingerprint]);
    assert!(exit == Some(1) && error.contains("nobody signed this archive"), "{error}");
}
