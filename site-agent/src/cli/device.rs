//! `wardround-site device`: what computes on this machine, whether it computes the right thing, and how fast.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};
use wardround_vision::device::{self, Checked, DeviceChoice, Place};
use wardround_vision::{BackboneEntry, Precision};

use super::failure::{Exit, Failure};
use super::features::PrecisionWord;
use super::output::Output;
use super::site::HomeArgument;
use crate::config::SiteConfig;

/// Run by a Python that may have torch.
const TORCH_SPEED: &str = include_str!("torch_speed.py");

/// Check what computes features on this machine: devices, agreement, speed; nothing leaves
///
/// A network with generated weights runs on the device and by other means, and their features must
/// agree: a GPU with the CPU, the CPU's compiled plan with plain operations. Ends with 1 when they
/// don't.
#[derive(Debug, Args)]
pub(super) struct DeviceCheck {
    /// Backbone to check with; its weights aren't needed
    #[arg(value_name = "BACKBONE", default_value = "resnet50")]
    backbone: String,
    /// auto, cpu, cuda, cuda:1 or metal; the site file's when left out
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
    /// How exactly it computes: f32 or bf16
    #[arg(long, value_name = "PRECISION", default_value = "f32", hide_possible_values = true)]
    precision: PrecisionWord,
    /// How long each is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 3,
          value_parser = clap::value_parser!(u32).range(0..=600))]
    seconds: u32,
    /// Python whose torch is measured beside it
    #[arg(long, value_name = "PATH", default_value = "python3")]
    python: PathBuf,
    #[command(flatten)]
    pub output: Output,
}

/// What the command prints.
#[derive(Debug, Serialize)]
struct Report {
    /// Features for GPUs that this program was built with.
    built_with: Vec<&'static str>,
    /// What this machine and this build offer.
    devices: Vec<Offered>,
    asked_for: DeviceChoice,
    /// Device and engine that features are computed with.
    used: String,
    why: String,
    backbone: &'static str,
    input_size: usize,
    precision: Precision,
    check: Checked,
    torch: Torch,
}

#[derive(Debug, Serialize)]
struct Offered {
    device: String,
    /// In words, or what is wrong.
    #[serde(flatten)]
    state: State,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Usable(String),
    Unusable(String),
}

/// torch's speed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Torch {
    Measured(Measured),
    /// Why it wasn't.
    Absent(String),
}

#[derive(Debug, Serialize, Deserialize)]
struct Measured {
    /// Its version.
    torch: String,
    device: String,
    batch: usize,
    images_per_s: f64,
}

impl DeviceCheck {
    pub(super) fn run(self, at: &HomeArgument) -> Result<Exit, Failure> {
        let entry = BackboneEntry::find(&self.backbone).ok_or_else(|| {
            Failure::bad_input(format!(
                "no backbone is called '{}'; `wardround-site backbones` lists them",
                self.backbone
            ))
        })?;
        let home = at.home()?;
        let asked_for = match self.device {
            Some(device) => device,
            None if home.site_file().exists() => SiteConfig::load(&home)?.device,
            None => DeviceChoice::Auto,
        };
        let precision = self.precision.meaning();
        let seconds = Duration::from_secs(self.seconds.into());
        let devices = offered();
        let (place, fallen) = device::look(asked_for);
        let why = fallen.unwrap_or_else(|| reason(asked_for, &place));
        let architecture = entry.architecture();
        let check = device::check(&place, architecture, entry.input_size, precision, seconds)
            .map_err(Failure::failed)?;
        let device = match &place {
            Place::Cpu => DeviceChoice::Cpu,
            Place::Gpu(gpu) => gpu.choice(),
        };
        let arguments = [
            architecture.name().to_owned(),
            architecture.network().image_channels().to_string(),
            entry.input_size.to_string(),
            check.batch.to_string(),
            precision.to_string(),
            device.to_string(),
            self.seconds.to_string(),
        ];
        let report = Report {
            built_with: device::built(),
            devices,
            asked_for,
            used: place.to_string(),
            why,
            backbone: entry.name,
            input_size: entry.input_size,
            precision,
            torch: torch(&self.python, &arguments),
            check,
        };
        self.output.print("device", &report, || report.text())?;
        Ok(if report.check.agrees { Exit::Done } else { Exit::Failed })
    }
}

/// The CPU, and whatever GPUs there are.
fn offered() -> Vec<Offered> {
    let cpu = Offered { device: "cpu".to_owned(), state: State::Usable(Place::Cpu.to_string()) };
    let gpus = device::offered().into_iter().map(|(choice, opened)| Offered {
        device: choice.to_string(),
        state: match opened {
            Ok(gpu) => State::Usable(Place::Gpu(gpu).to_string()),
            Err(fault) => State::Unusable(fault.to_string()),
        },
    });
    std::iter::once(cpu).chain(gpus).collect()
}

/// Why a place was chosen when nothing went wrong.
fn reason(asked_for: DeviceChoice, place: &Place) -> String {
    match (asked_for, place) {
        (DeviceChoice::Auto, Place::Cpu) => {
            "no GPU was found: this program was built without features for GPUs".to_owned()
        }
        (DeviceChoice::Auto, Place::Gpu(_)) => "it is the first GPU that answers".to_owned(),
        (asked_for, _) => format!("'{asked_for}' was asked for"),
    }
}

/// Measures torch, where there is one.
fn torch(python: &Path, arguments: &[String]) -> Torch {
    let mut command = Command::new(python);
    command.args(["-c", TORCH_SPEED]).args(arguments).stdin(Stdio::null());
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => return Torch::Absent(format!("{}: {error}", python.display())),
    };
    let last = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).map(str::to_owned)
    };
    if !output.status.success() {
        let said = last(&output.stderr).unwrap_or_else(|| output.status.to_string());
        return Torch::Absent(format!("{}: {said}", python.display()));
    }
    let said = last(&output.stdout).unwrap_or_default();
    match serde_json::from_str(&said) {
        Ok(measured) => Torch::Measured(measured),
        Err(error) => Torch::Absent(format!("{} said '{said}': {error}", python.display())),
    }
}

impl Report {
    fn text(&self) -> String {
        let mut text = match self.built_with.as_slice() {
            [] => "built without features for GPUs\n".to_owned(),
            features => format!("built with {}\n", features.join(", ")),
        };
        for Offered { device, state } in &self.devices {
            text += &match state {
                State::Usable(words) => format!("  {words}\n"),
                State::Unusable(why) => format!("  {device}: can't be used: {why}\n"),
            };
        }
        let Self { used, why, backbone, input_size, precision, check, .. } = self;
        let verdict = if check.agrees { "they agree" } else { "THEY DON'T AGREE" };
        text += &format!("features are computed by {used}\n  {why}\n");
        text += &format!(
            "{backbone} at {input_size} x {input_size}, {precision}, generated weights:\n"
        );
        text += &format!(
            "  features beside those of {}: difference {:.1e}, cosine {:.6}: {verdict} ({})\n",
            check.reference, check.agreement.difference, check.agreement.cosine, check.bar
        );
        let speed = |who: &str, images: f64| format!("  {images:9.1} images/s  {who}\n");
        text += &speed(&format!("{used}, {} at a time", check.batch), check.images_per_s);
        text += &speed(&check.reference, check.reference_images_per_s);
        text += &match &self.torch {
            Torch::Measured(torch) => speed(
                &format!("torch {} on {}, {} at a time", torch.torch, torch.device, torch.batch),
                torch.images_per_s,
            ),
            Torch::Absent(why) => format!("  torch wasn't measured: {why}\n"),
        };
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_python_that_is_not_there_is_one_line() {
        let Torch::Absent(why) = torch(Path::new("no/such/python"), &[]) else { panic!() };
        assert!(why.starts_with("no/such/python: ") && !why.contains('\n'), "{why}");
    }

    #[cfg(unix)]
    #[test]
    fn what_python_says_is_read() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let python = |name: &str, body: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            torch(&path, &["resnet18".to_owned()])
        };
        let said = r#"echo warning; echo '{"torch": "2.9", "device": "'$3'", "batch": 8, "images_per_s": 7.5}'"#;
        let Torch::Measured(measured) = python("good", said) else { panic!() };
        assert_eq!((measured.device.as_str(), measured.images_per_s), ("resnet18", 7.5));
        let Torch::Absent(why) = python("none", "echo 'this Python has no torch' >&2; exit 1")
        else {
            panic!()
        };
        assert!(why.ends_with("none: this Python has no torch"), "{why}");
        assert!(matches!(python("odd", "echo hello"), Torch::Absent(_)));
    }
}
