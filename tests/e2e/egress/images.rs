//! Made-up images, a network of random weights, and what of both would be recognised if it left.

use std::path::Path;

use serde_json::{Map, Value, json};
use wardround_core::digest::Digest;
use wardround_core::seed::Seed;
use wardround_core::study::{BackboneRule, Input, Study};
use wardround_local::federation::SiteSettings;
use wardround_site::features::{Altered, Caches, Ready};
use wardround_vision::{BackboneEntry, WeightsStore};

use super::search::Needles;

const BACKBONE: &str = "resnet18";
/// Height and width of the images, and what the network sees of them.
const SIDE: u32 = 64;
/// Patients of a site. Every third has two images.
const PATIENTS: usize = 24;

/// Bytes of a piece of an image that is looked for.
const PIECE: usize = 16;
/// The beginning of a PNG file is the same for all.
const PNG_BEGINS: usize = 64;

/// Draws a site's images into `folder` and lists them in `manifest`.
pub fn write(site: &str, manifest: &Path, folder: &Path) {
    let mut text = "path,diagnosis,patient\n".to_owned();
    for at in 0..PATIENTS {
        let key = Digest::of(format!("{site} {at}").as_bytes()).short();
        for view in 0..if at % 3 == 0 { 2u32 } else { 1 } {
            let label = at % 2;
            let name = format!("ward-7-{key}-{view}.png");
            let image = image::RgbImage::from_fn(SIDE, SIDE, |x, y| {
                let place = [at as u64, view.into(), x.into(), y.into()].map(u64::to_le_bytes);
                let place: Vec<&[u8]> = place.iter().map(<[u8; 8]>::as_slice).collect();
                let noise = Seed(4).bits(site, &place).to_le_bytes();
                // One class is brighter, most of the time.
                let light = if label == 1 && at % 5 > 0 { 90 } else { 20 };
                image::Rgb([0, 1, 2].map(|channel| light + noise[channel] / 2))
            });
            image.save(folder.join(&name)).expect("an image is written");
            text.push_str(&format!("{name},{},MRN-{key}\n", ["nv", "mel"][label]));
        }
    }
    std::fs::write(manifest, text).expect("a manifest is written");
}

/// A study of such images; the network's weights are written to a file.
pub fn study(weights: &Path) -> String {
    let bytes = random_weights();
    std::fs::write(weights, &bytes).expect("weights are written");
    format!(
        r#"format = 1
name = "Images stay"
seed = 5

[target]
column = "diagnosis"
positive = ["mel"]
negative = ["nv"]

[patient]
key = "patient"

[images]
column = "path"
backbone = "{BACKBONE}"
weights = "file:{}"
sha256 = "{}"
preprocess = {{ shorter_side = {SIDE}, crop = {SIDE}, mean = [0.5, 0.5, 0.5], std = [0.25, 0.25, 0.25] }}

[classifier]
kind = "logistic"
c = [0.001]
standardise = ["all"]

[validation]
folds = 2
leave_one_site_out = false
"#,
        weights.display(),
        Digest::of(&bytes)
    )
}

/// Everything of a site that must not leave: its patients' keys, its files' names and bytes, its
/// pixels, and the features that it has computed, which are read from its cache.
pub fn needles(study: &str, settings: &SiteSettings) -> Needles {
    let mut needles = Needles::new();
    let features = features(study, settings);
    let manifest = std::fs::read_to_string(&settings.manifest).expect("a manifest");
    let mut images = 0;
    for line in manifest.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let [name, _, patient] = cells[..] else { panic!("a line of the manifest is {line}") };
        let hash = Digest::of(patient.as_bytes());
        needles.add(format!("patient {patient}"), patient.as_bytes());
        needles.add(format!("patient {patient}, hashed"), &hash.as_bytes()[..16]);
        needles.add(format!("patient {patient}, hashed"), &hash.to_string().as_bytes()[..32]);
        needles.add(format!("the name {name}"), name.as_bytes());

        let path = settings.images.join(name);
        let file = std::fs::read(&path).expect("an image");
        // Every piece of twice the length holds one of these whole.
        for piece in file[PNG_BEGINS..].chunks_exact(PIECE) {
            needles.add(format!("bytes of {name}"), piece);
        }
        let pixels = image::open(&path).expect("an image").into_rgb8().into_raw();
        for piece in pixels.chunks_exact(PIECE) {
            needles.add(format!("pixels of {name}"), piece);
        }
        let row = features(&Digest::of(&file)).unwrap_or_else(|| panic!("no features of {name}"));
        for (at, pair) in row.windows(2).enumerate() {
            // Zeros, which a rectifier makes, are everywhere.
            if let &[a, b] = pair
                && a != 0.0
                && b != 0.0
            {
                let what = format!("features of {name} from {at} on");
                needles.add(what.clone(), &[a.to_le_bytes(), b.to_le_bytes()].concat());
                let [a, b] = [a, b].map(|x| f64::from(x).to_le_bytes());
                needles.add(what, &[a, b].concat());
            }
        }
        images += 1;
    }
    assert!(needles.len() > images * 1000, "{} needles of {images} images", needles.len());
    needles
}

/// A site's features by image digest.
fn features(study: &str, settings: &SiteSettings) -> impl Fn(&Digest) -> Option<Vec<f32>> + use<> {
    let study = Study::parse(study).expect("a study");
    let Input::Images { backbones, .. } = &study.input else { panic!("no images") };
    let backbone = &backbones[0];
    let rule: &BackboneRule = backbone;
    let store = WeightsStore::new(settings.weights.clone());
    let ready = Ready::of_study(rule, Altered::Off, &store).expect("weights");
    let caches = Caches::open(&ready, &settings.cache.join("features")).expect("a cache");
    move |image| caches.plain(image)
}

/// A safetensors file of the backbone's tensors: uniform weights of the variance that keeps signals
/// in range (He et al. 2015), norms that change nothing.
fn random_weights() -> Vec<u8> {
    let entry = BackboneEntry::find(BACKBONE).expect("it ships");
    let (mut header, mut data) = (Map::new(), Vec::new());
    let mut state = 1u64;
    for (name, shape) in entry.architecture().network().parameters() {
        let begin = data.len();
        let bound = (6.0 / shape[1..].iter().product::<usize>() as f32).sqrt();
        for _ in 0..shape.iter().product() {
            // Knuth's linear congruential generator (MMIX); its upper bits are good enough here.
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let uniform = (state >> 40) as f32 / (1 << 24) as f32;
            let value = match name.rsplit_once('.') {
                Some((_, "running_var")) => 1.0,
                Some((_, "running_mean" | "bias")) => 0.0,
                _ if shape.len() == 1 => 1.0,
                _ => bound * (2.0 * uniform - 1.0),
            };
            data.extend(f32::to_le_bytes(value));
        }
        let tensor = json!({ "dtype": "F32", "shape": shape, "data_offsets": [begin, data.len()] });
        header.insert(name, tensor);
    }
    let header = Value::from(header).to_string();
    [(header.len() as u64).to_le_bytes().as_slice(), header.as_bytes(), &data].concat()
}
