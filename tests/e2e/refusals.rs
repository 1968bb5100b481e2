//! With untouched defaults a study of images through a wide network is refused before anything starts.

use std::path::{Path, PathBuf};

use serde_json::json;
use wardround_core::digest::Digest;
use wardround_core::seed::Seed;
use wardround_local::studies::HAM10000;
use wardround_privacy::ledger::{self, What};
use wardround_privacy::policy::Policy;
use wardround_tests::{Hospital, LEAD, Trial};

/// Sites with their number of lesions.
const SITES: [(&str, u64); 4] =
    [("rosendahl", 30), ("vidir_modern", 36), ("vidir_molemax", 45), ("vienna_dias", 24)];

#[test]
fn wide_sums_are_refused_at_submit_unless_an_owner_loosens_them() {
    let mut trial = Trial::start();
    let hospitals: Vec<Hospital> =
        SITES.iter().map(|(name, _)| Hospital::strict(name, Vec::new())).collect();
    for (hospital, (name, lesions)) in hospitals.iter().zip(SITES) {
        let mut settings = trial.settings(hospital);
        settings.manifest = trial.path(&format!("{name}.csv"));
        settings.images = trial.path(name);
        draw(&settings.manifest, &settings.images, name, lesions);
        trial.federation.enrol_site(&hospital.site, &settings).unwrap();
        trial.federation.start_site(&hospital.site).unwrap();
    }
    trial.federation.wait_for_sites().unwrap();

    // The shipped study. Its weights are pinned to a file that is no network: the width is known from
    // the backbone's entry, and before a study has started nobody opens the file.
    let weights = trial.path("weights.bin");
    std::fs::write(&weights, b"no network").unwrap();
    let pin = format!(
        "backbone = \"efficientnet_lite0\"\nweights = \"file:{}\"\nsha256 = \"{}\"",
        weights.display(),
        Digest::of(b"no network")
    );
    let study = HAM10000.replace("backbone = \"efficientnet_lite0\"", &pin);
    assert_ne!(study, HAM10000);
    let file = trial.path("ham10000.toml");
    std::fs::write(&file, study).unwrap();

    let file = file.to_str().unwrap();
    let ended = trial.federation.say(LEAD, &["study", "submit", file]).unwrap();
    println!("{}", ended.stderr);
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(4), ""), "{}", ended.stderr);
    for (name, lesions) in SITES {
        let begins = format!("{name} refuses: wide_sums: ");
        let line = ended.stderr.lines().find_map(|line| line.split_once(&begins));
        let (_, sentence) = line.unwrap_or_else(|| panic!("no '{begins}' in {}", ended.stderr));
        // 1,280 features and the constant, against a share of the patients.
        let allowed = Policy::default().wide_share.of(lesions);
        for part in [
            "asks for 1281 numbers per model",
            &format!("this site's patients allow {allowed};"),
            "fewer features",
            "secure aggregation once the consortium has it",
            "the owner loosens it by name in the site's file with `wide_sums = \"allowed\"`",
        ] {
            assert!(sentence.contains(part), "'{part}' isn't in: {sentence}");
        }
    }

    assert_eq!(trial.json(LEAD, &["study", "list"]), json!([]));
    for hospital in &hospitals {
        let kept = trial.federation.home(&hospital.site).join("studies");
        let kept: Vec<PathBuf> =
            kept.read_dir().unwrap().map(|folder| folder.unwrap().path()).collect();
        assert!(kept.is_empty(), "{kept:?}");
        let path = trial.ledger(&hospital.site);
        let entries = ledger::entries(&path, Vec::new()).unwrap();
        let sent: Vec<What> = entries.map(|entry| entry.unwrap().message.what).collect();
        assert_eq!(sent.iter().filter(|what| **what == What::Verdict).count(), 1, "{sent:?}");
        let said = [What::Join, What::Poll, What::Progress, What::Verdict];
        assert!(sent.iter().all(|what| said.contains(what)), "{sent:?}");
    }
}

/// Made-up images, two of every fifth lesion, and their manifest.
fn draw(manifest: &Path, folder: &Path, site: &str, lesions: u64) {
    std::fs::create_dir_all(folder).expect("a folder");
    let mut text = "path,diagnosis,lesion_id,age,sex\n".to_owned();
    let kinds = ["mel", "nv", "bkl", "bcc", "akiec", "vasc", "df"];
    for lesion in 0..lesions {
        for view in 0..if lesion % 5 == 0 { 2u32 } else { 1 } {
            let name = format!("{lesion:04}_{view}.png");
            let image = image::RgbImage::from_fn(12, 9, |x, y| {
                let parts = [u64::from(x), u64::from(y), lesion, view.into()].map(u64::to_le_bytes);
                let parts: Vec<&[u8]> = parts.iter().map(<[u8; 8]>::as_slice).collect();
                let bits = Seed(2).bits(site, &parts).to_le_bytes();
                image::Rgb([bits[0], bits[1], bits[2]])
            });
            image.save(folder.join(&name)).expect("an image");
            let (kind, age) = (kinds[lesion as usize % kinds.len()], 20 + lesion % 60);
            let sex = if lesion % 2 == 0 { "female" } else { "male" };
            text.push_str(&format!("{name},{kind},HAM_{site}_{lesion:04},{age},{sex}\n"));
        }
    }
    std::fs::write(manifest, text).expect("a manifest");
}
