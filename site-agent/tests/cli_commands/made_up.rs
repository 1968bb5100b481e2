//! A made-up site: a home folder with a table or images, and the binary that is run on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;
use wardround_core::digest::Digest;
use wardround_core::seed::Seed;
use wardround_vision::BackboneEntry;

pub struct Site(TempDir);

impl Site {
    /// A home with a site file and nothing else.
    pub fn new() -> Self {
        let site = Self(tempfile::tempdir().unwrap());
        site.write("site.toml", &site_file("localhost:1"));
        site
    }

    /// A home with a table: `patients` of them, every third one ill, and two rows with problems.
    pub fn with_table(patients: usize) -> Self {
        let site = Self::new();
        let mut manifest = String::from("key,ill,sex,a,b\n");
        for at in 0..patients {
            let (ill, sex) = (["yes", "no", "no"][at % 3], ["f", "m"][at % 2]);
            let uniform = |column: u8| Seed(5).uniform("test", &[&at.to_le_bytes(), &[column]]);
            manifest += &format!("p{at},{ill},{sex},{},{}\n", uniform(0), uniform(1));
        }
        manifest += "p900,perhaps,f,1,1\n,no,m,1,1\n";
        site.write("manifest.csv", &manifest);
        site.write("study.toml", TABLE);
        site
    }

    /// A home with small images, one of which is none, and made-up weights.
    pub fn with_images(images: usize) -> Self {
        let site = Self::new();
        let mut manifest = String::from("path,ill,key\n");
        for at in 0..images {
            let name = format!("{at}.png");
            let bytes = if at == 3 { b"no image".to_vec() } else { png(at as u8) };
            fs::write(site.path(&name), bytes).unwrap();
            manifest += &format!("{name},{},p{at}\n", ["yes", "no"][at % 2]);
        }
        site.write("manifest.csv", &manifest);
        let weights = weights("resnet18");
        fs::write(site.path("net.safetensors"), &weights).unwrap();
        site.write("study.toml", &images_study("Images", &site, Digest::of(&weights)));
        site
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// The binary, to be run in this home.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wardround-site"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("WARDROUND_SITE_HOME", self.0.path())
            .env_remove("WARDROUND_TOKEN")
            .env_remove("WARDROUND_LOG");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Ended {
        Ended::of(self.command(arguments).output().unwrap())
    }

    /// Runs it and expects success.
    pub fn done(&self, arguments: &[&str]) -> Ended {
        let ended = self.run(arguments);
        assert_eq!(ended.code, 0, "{arguments:?}: {ended:?}");
        ended
    }
}

/// What a command left.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ended {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// The data of the envelope.
    pub fn data(&self, command: &str) -> Value {
        let envelope: Value = serde_json::from_str(&self.out).unwrap();
        assert_eq!((&envelope["format"], &envelope["command"]), (&1.into(), &command.into()));
        envelope["data"].clone()
    }
}

pub fn site_file(coordinator: &str) -> String {
    format!(
        "[coordinator]\naddress = \"{coordinator}\"\n\
         [data]\nmanifest = \"manifest.csv\"\nproblem_share = 0.2\nsynthetic = true\n\
         [policy]\nwide_sums = \"allowed\"\n"
    )
}

const TABLE: &str = r#"
format = 1
name = "Small"
seed = 1
[target]
column = "ill"
positive = ["yes"]
negative = ["no"]
[patient]
key = "key"
[subgroups.sex]
values = ["f", "m"]
[table]
numeric = ["a", "b"]
missing = "drop"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 5
"#;

pub fn images_study(name: &str, site: &Site, weights: Digest) -> String {
    let file = site.path("net.safetensors");
    format!(
        r#"
format = 1
name = "{name}"
seed = 1
[target]
column = "ill"
positive = ["yes"]
negative = ["no"]
[patient]
key = "key"
[images]
backbone = "resnet18"
weights = "file:{file}"
sha256 = "{weights}"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 2
"#,
        file = file.display()
    )
}

/// The study of a site's images with a second backbone beside the first.
pub fn with_second_backbone(study: &str, site: &Site) -> String {
    let second = weights("mobilenet_v2");
    let file = site.path("second.safetensors");
    fs::write(&file, &second).unwrap();
    let (before, rest) = study.split_once("[images]\nbackbone").unwrap();
    let (first, after) = rest.split_once("[classifier]").unwrap();
    format!(
        "{before}[images]\n[[backbone]]\nname{first}[[backbone]]\nname = \"mobilenet_v2\"\nweights = \"file:{file}\"\n\
         sha256 = \"{digest}\"\n[classifier]{after}",
        file = file.display(),
        digest = Digest::of(&second),
    )
}

/// Made-up weights of an architecture as safetensors: small kernels, batch norm that changes nothing.
pub fn weights(backbone: &str) -> Vec<u8> {
    let network = BackboneEntry::find(backbone).unwrap().architecture().network();
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    let mut state = 1u32;
    for (name, shape) in network.parameters() {
        let start = data.len();
        for _ in 0..shape.iter().product::<usize>() {
            // A linear congruential generator: any spread of values does.
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = match name.rsplit('.').next() {
                _ if shape.len() == 4 => (state as f32 / u32::MAX as f32 - 0.5) * 0.05,
                Some("weight" | "running_var") => 1.0f32,
                _ => 0.0,
            };
            data.extend(value.to_le_bytes());
        }
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).unwrap();
    [&(header.len() as u64).to_le_bytes(), header.as_slice(), data.as_slice()].concat()
}

/// A grey PNG of 40 x 40 pixels (RFC 2083), stored without compression; each `shade` is another image.
pub fn png(shade: u8) -> Vec<u8> {
    const SIDE: u32 = 40;
    let mut raw = Vec::new();
    for y in 0..SIDE {
        raw.push(0);
        raw.extend((0..SIDE).map(|x| shade.wrapping_mul(37).wrapping_add((x * y % 97) as u8)));
    }
    let length = raw.len() as u16;
    let mut zlib = vec![0x78, 0x01, 0x01];
    zlib.extend(length.to_le_bytes());
    zlib.extend((!length).to_le_bytes());
    zlib.extend(&raw);
    zlib.extend(adler32(&raw).to_be_bytes());
    let mut header = Vec::new();
    header.extend(SIDE.to_be_bytes());
    header.extend(SIDE.to_be_bytes());
    header.extend([8, 0, 0, 0, 0]);
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in [(b"IHDR", header.as_slice()), (b"IDAT", &zlib), (b"IEND", &[])] {
        png.extend((data.len() as u32).to_be_bytes());
        let chunk = [kind.as_slice(), data].concat();
        png.extend(&chunk);
        png.extend(crc32(&chunk).to_be_bytes());
    }
    png
}

fn adler32(bytes: &[u8]) -> u32 {
    let (a, b) = bytes.iter().fold((1u32, 0u32), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65521;
        (a, (b + a) % 65521)
    });
    b << 16 | a
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 * (crc & 1)))
    })
}

/// Whether a file with this name is anywhere below a folder.
pub fn lies_below(folder: &Path, extension: &str) -> bool {
    let Ok(entries) = fs::read_dir(folder) else { return false };
    entries.map(|entry| entry.unwrap().path()).any(|path| {
        path.extension().is_some_and(|own| own == extension) || lies_below(&path, extension)
    })
}
