//! Altered copies of a picture: rotated, cropped, mirrored, brighter or darker. For training folds, and for averaging at prediction time.
//!
//! What happens to a copy depends on the study's seed, the image's digest and the copy's number alone, with the same bits on every
//! machine: draws are hashes, and all arithmetic on them is exact or in software. The order and the meaning of the steps are
//! torchvision's (RandomRotation, RandomResizedCrop of Szegedy et al. 2015, RandomHorizontalFlip, ColorJitter) on PIL images, with one
//! departure: the crop's aspect is drawn evenly between 1 and 4/3 and then laid or stood up by a coin, which needs no logarithm.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::resize::resize_part;
use super::{Interpolation, Picture, Preprocess};

/// Widest crop, width by height; the tallest is its inverse.
const MAX_ASPECT: f64 = 4.0 / 3.0;

/// How often a crop is drawn that must fit into the picture.
const ATTEMPTS: u8 = 10;

/// How pictures are altered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Augmentation {
    /// Decides, with the image's digest and the copy's number, what happens to a copy.
    pub seed: u64,
    /// Rotation by up to so many degrees either way, 0 to 180; corners become black.
    pub rotation: f64,
    /// Which part of the picture is seen.
    pub crop: RandomCrop,
    /// Mirrored left to right, every other time.
    pub flip: bool,
    /// Brightness times 1 - x to 1 + x, 0 to 1.
    pub brightness: f64,
    /// Contrast times 1 - x to 1 + x, 0 to 1.
    pub contrast: f64,
}

/// Which part of a picture a copy shows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RandomCrop {
    /// What the plain picture shows.
    Off,
    /// A part of between these shares of the picture's area (above 0, at most 1, ascending) and an aspect of 3/4 to 4/3.
    Area([f64; 2]),
}

/// An augmentation that makes no sense.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("augmentation: {field} is {got}, expected {expected}")]
pub struct AugmentationError {
    /// Which field.
    pub field: &'static str,
    /// What it is.
    pub got: String,
    /// What it may be.
    pub expected: &'static str,
}

/// What happens to one copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Alteration {
    /// Counterclockwise rotation about the centre, in degrees.
    pub degrees: f64,
    /// The part that is seen, in pixels of the rotated picture.
    pub part: Part,
    /// Mirrored left to right.
    pub flip: bool,
    /// Factor of the brightness; 1 changes nothing.
    pub brightness: f32,
    /// Factor of the contrast; 1 changes nothing.
    pub contrast: f32,
}

/// The part of a picture that is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// As the preprocessing crops it.
    Usual,
    /// This box, resized to the network's input.
    Box {
        /// Columns to the left of it.
        left: usize,
        /// Rows above it.
        top: usize,
        /// Its columns, at least 1.
        width: usize,
        /// Its rows, at least 1.
        height: usize,
    },
}

impl Augmentation {
    /// Nothing is altered.
    pub fn none(seed: u64) -> Self {
        let (crop, flip) = (RandomCrop::Off, false);
        Self { seed, rotation: 0.0, crop, flip, brightness: 0.0, contrast: 0.0 }
    }

    /// Whether every field is in its range.
    pub fn check(&self) -> Result<(), AugmentationError> {
        let of = |field, got: f64, max, expected| match (0.0..=max).contains(&got) {
            true => Ok(()),
            false => Err(AugmentationError { field, got: got.to_string(), expected }),
        };
        of("rotation", self.rotation, 180.0, "0 to 180 degrees")?;
        of("brightness", self.brightness, 1.0, "0 to 1")?;
        of("contrast", self.contrast, 1.0, "0 to 1")?;
        match self.crop {
            RandomCrop::Area([low, high]) if !(0.0 < low && low <= high && high <= 1.0) => {
                Err(AugmentationError {
                    field: "crop",
                    got: format!("{low} to {high}"),
                    expected: "two shares of the area, above 0, at most 1, ascending",
                })
            }
            _ => Ok(()),
        }
    }

    /// SHA-256 of all that decides a copy, this module's algorithm included.
    pub fn digest(&self) -> [u8; 32] {
        let mut hasher = Sha256::new();
        hasher.update(b"wardround augmentation 1\0");
        hasher.update(self.seed.to_le_bytes());
        let (kind, area) = match self.crop {
            RandomCrop::Off => (0, [0.0; 2]),
            RandomCrop::Area(area) => (1, area),
        };
        hasher.update([kind, u8::from(self.flip)]);
        for value in [self.rotation, area[0], area[1], self.brightness, self.contrast] {
            hasher.update(value.to_bits().to_le_bytes());
        }
        hasher.finalize().into()
    }

    /// What happens to copy `copy` of the image with this digest, whose picture is of this size.
    pub fn draw(&self, image: &[u8; 32], copy: u16, width: usize, height: usize) -> Alteration {
        // Each purpose has draws of its own, so that one more option doesn't change the others.
        let uniform = |purpose: &str, turn: u8| {
            let mut hasher = Sha256::new();
            hasher.update(b"wardround augmentation draw 1\0");
            hasher.update(self.seed.to_le_bytes());
            hasher.update(image);
            hasher.update(copy.to_le_bytes());
            hasher.update([turn]);
            hasher.update(purpose);
            let out: [u8; 32] = hasher.finalize().into();
            let bits = u64::from_le_bytes(*out.first_chunk().expect("8 of 32 bytes"));
            (bits >> 11) as f64 / (1u64 << 53) as f64
        };
        let around = |purpose, width: f64| width * (2.0 * uniform(purpose, 0) - 1.0);
        let part = match self.crop {
            RandomCrop::Off => Part::Usual,
            RandomCrop::Area(area) => draw_box(area, width, height, &uniform),
        };
        Alteration {
            degrees: around("rotation", self.rotation),
            part,
            flip: self.flip && uniform("flip", 0) < 0.5,
            brightness: (1.0 + around("brightness", self.brightness)) as f32,
            contrast: (1.0 + around("contrast", self.contrast)) as f32,
        }
    }
}

/// A box of a drawn area and aspect; when none fits, the largest in the middle with an allowed aspect.
fn draw_box(
    [low, high]: [f64; 2],
    width: usize,
    height: usize,
    uniform: &dyn Fn(&str, u8) -> f64,
) -> Part {
    let all = (width * height) as f64;
    for attempt in 0..ATTEMPTS {
        let area = all * (low + (high - low) * uniform("area", attempt));
        let aspect = 1.0 + (MAX_ASPECT - 1.0) * uniform("aspect", attempt);
        let aspect = if uniform("upright", attempt) < 0.5 { aspect } else { 1.0 / aspect };
        let w = (area * aspect).sqrt().round_ties_even() as usize;
        let h = (area / aspect).sqrt().round_ties_even() as usize;
        if (1..=width).contains(&w) && (1..=height).contains(&h) {
            let place = |purpose, room: usize| {
                ((room + 1) as f64 * uniform(purpose, attempt)).min(room as f64) as usize
            };
            let (left, top) = (place("left", width - w), place("top", height - h));
            return Part::Box { left, top, width: w, height: h };
        }
    }
    let most = |side: usize| ((side as f64 * MAX_ASPECT).round_ties_even() as usize).max(1);
    let (w, h) = (width.min(most(height)), height.min(most(width)));
    Part::Box { left: (width - w) / 2, top: (height - h) / 2, width: w, height: h }
}

impl Alteration {
    /// Altered, resized and cropped; 8-bit RGB row by row, as large as the network's input.
    pub fn pixels(&self, picture: &Picture, preprocess: &Preprocess) -> Vec<u8> {
        let rotated;
        let picture = match self.degrees == 0.0 {
            true => picture,
            false => {
                rotated = rotate(picture, self.degrees);
                &rotated
            }
        };
        let side = preprocess.crop();
        let mut rgb = match self.part {
            Part::Usual => preprocess.resize(picture),
            Part::Box { left, top, width, height } => {
                let part = cut(picture, left, top, width, height);
                // A part is no central square, which is all that the smoothing knows.
                let filter = match preprocess.interpolation {
                    Interpolation::Smoothed => Interpolation::Bilinear,
                    filter => filter,
                };
                resize_part(&part, [side; 2], 0..side, 0..side, filter)
            }
        };
        if self.flip {
            rgb.chunks_exact_mut(3 * side).for_each(mirror);
        }
        if self.brightness != 1.0 {
            blend(&mut rgb, 0, self.brightness);
        }
        if self.contrast != 1.0 {
            let mean = mean_luma(&rgb);
            blend(&mut rgb, mean, self.contrast);
        }
        rgb
    }

    /// The network's input: `[channels][crop][crop]`.
    pub fn apply(&self, picture: &Picture, preprocess: &Preprocess) -> Vec<f32> {
        preprocess.normalise(&self.pixels(picture, preprocess))
    }
}

/// PIL's `Image.rotate(degrees, BILINEAR)`: the same size, counterclockwise about the centre, black where nothing was.
/// Source: Pillow `Image.py` (`rotate`) and `src/libImaging/Geometry.c` (`affine_transform`, `bilinear_filter32RGB`).
fn rotate(picture: &Picture, degrees: f64) -> Picture {
    let (w, h) = (picture.width, picture.height);
    let angle = -(degrees.rem_euclid(360.0)).to_radians();
    let round = |x: f64| (x * 1e15).round_ties_even() / 1e15;
    let (sin, cos) = (round(libm::sin(angle)), round(libm::cos(angle)));
    let (cx, cy) = (w as f64 / 2.0, h as f64 / 2.0);
    let (shift_x, shift_y) = (cos * -cx + sin * -cy + cx, -sin * -cx + cos * -cy + cy);
    let mut rgb = vec![0; picture.rgb.len()];
    for (y, row) in rgb.chunks_exact_mut(3 * w).enumerate() {
        let y = y as f64 + 0.5;
        for (x, out) in row.chunks_exact_mut(3).enumerate() {
            let x = x as f64 + 0.5;
            let (from_x, from_y) = (cos * x + sin * y + shift_x, -sin * x + cos * y + shift_y);
            let inside = from_x >= 0.0 && from_x < w as f64 && from_y >= 0.0 && from_y < h as f64;
            if inside {
                bilinear(picture, from_x - 0.5, from_y - 0.5, out);
            }
        }
    }
    Picture { width: w, height: h, rgb }
}

fn bilinear(picture: &Picture, x: f64, y: f64, out: &mut [u8]) {
    let (left, upper) = (x.floor(), y.floor());
    let (dx, dy) = (x - left, y - upper);
    let clip = |at: f64, side: usize| (at.max(0.0) as usize).min(side - 1);
    let columns = [left, left + 1.0].map(|x| clip(x, picture.width));
    let rows = [upper, upper + 1.0].map(|y| clip(y, picture.height));
    let pixel = |row: usize, column: usize| &picture.rgb[3 * (row * picture.width + column)..][..3];
    let corners = rows.map(|row| columns.map(|column| pixel(row, column)));
    for (channel, out) in out.iter_mut().enumerate() {
        let [[a, b], [c, d]] = corners.map(|row| row.map(|pixel| f64::from(pixel[channel])));
        let (top, bottom) = (a + (b - a) * dx, c + (d - c) * dx);
        // C cuts the fraction off.
        *out = (top + (bottom - top) * dy) as u8;
    }
}

fn cut(picture: &Picture, left: usize, top: usize, width: usize, height: usize) -> Picture {
    let rows = picture.rgb.chunks_exact(3 * picture.width).skip(top).take(height);
    let rgb = rows.flat_map(|row| &row[3 * left..][..3 * width]).copied().collect();
    Picture { width, height, rgb }
}

fn mirror(row: &mut [u8]) {
    let pixels = row.len() / 3;
    for at in 0..pixels / 2 {
        for channel in 0..3 {
            row.swap(3 * at + channel, 3 * (pixels - 1 - at) + channel);
        }
    }
}

/// PIL's `Image.blend` of a plain picture of `from` with this one (`src/libImaging/Blend.c`): in f32, the fraction cut off.
fn blend(rgb: &mut [u8], from: u8, factor: f32) {
    let table: [u8; 256] = std::array::from_fn(|value| {
        let from = i32::from(from);
        // From outside 0..255 `as` gives the nearest of them, as PIL's clipping does.
        (from as f32 + factor * (value as i32 - from) as f32) as u8
    });
    rgb.iter_mut().for_each(|value| *value = table[usize::from(*value)]);
}

/// The mean of PIL's `convert("L")`, rounded as `ImageEnhance.Contrast` rounds it.
fn mean_luma(rgb: &[u8]) -> u8 {
    let luma = |pixel: &[u8]| {
        let [r, g, b] = [pixel[0], pixel[1], pixel[2]].map(u32::from);
        u64::from((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16)
    };
    let sum: u64 = rgb.chunks_exact(3).map(luma).sum();
    (sum as f64 / (rgb.len() / 3) as f64 + 0.5) as u8
}

/// The same fields as written in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    seed: u64,
    rotation: f64,
    crop: RandomCrop,
    flip: bool,
    brightness: f64,
    contrast: f64,
}

impl TryFrom<Unchecked> for Augmentation {
    type Error = AugmentationError;

    fn try_from(raw: Unchecked) -> Result<Self, AugmentationError> {
        let Unchecked { seed, rotation, crop, flip, brightness, contrast } = raw;
        let made = Self { seed, rotation, crop, flip, brightness, contrast };
        made.check().map(|()| made)
    }
}

impl From<Augmentation> for Unchecked {
    fn from(from: Augmentation) -> Self {
        let Augmentation { seed, rotation, crop, flip, brightness, contrast } = from;
        Self { seed, rotation, crop, flip, brightness, contrast }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all() -> Augmentation {
        let crop = RandomCrop::Area([0.3, 0.9]);
        Augmentation { seed: 5, rotation: 20.0, crop, flip: true, brightness: 0.2, contrast: 0.5 }
    }

    #[test]
    fn what_is_out_of_range_is_refused_also_from_a_file() {
        all().check().unwrap();
        let json = serde_json::to_string(&all()).unwrap();
        assert_eq!(serde_json::from_str::<Augmentation>(&json).unwrap(), all());
        for (from, to) in [
            ("20.0", "181.0"),
            ("0.3", "0.0"),
            ("0.3", "0.95"),
            ("0.9", "1.5"),
            ("0.2", "-0.1"),
            ("0.5", "1.01"),
            ("\"flip\"", "\"flop\""),
        ] {
            let wrong = json.replacen(from, to, 1);
            assert_ne!(wrong, json);
            assert!(serde_json::from_str::<Augmentation>(&wrong).is_err(), "{wrong}");
        }
        let wrong = Augmentation { rotation: f64::NAN, ..all() };
        assert_eq!(
            wrong.check().unwrap_err().to_string(),
            "augmentation: rotation is NaN, expected 0 to 180 degrees"
        );
    }

    #[test]
    fn a_draw_is_the_same_on_every_machine() {
        // From tests/golden/make_augmented.py. Another result would make cached copies wrong.
        let first = Alteration {
            degrees: f64::from_bits(0x3ff0_ebbd_6e62_32ac),
            part: Part::Box { left: 12, top: 111, width: 383, height: 347 },
            flip: false,
            brightness: 1.119_897_182_057_675_7_f64 as f32,
            contrast: 1.209_394_466_073_110_2_f64 as f32,
        };
        let second = Alteration {
            degrees: f64::from_bits(0xc020_b03e_7a10_9ac2),
            part: Part::Box { left: 152, top: 3, width: 483, height: 474 },
            flip: true,
            brightness: 1.124_379_684_551_939_2_f64 as f32,
            contrast: 1.367_751_427_328_727_2_f64 as f32,
        };
        assert_eq!(all().draw(&[7; 32], 1, 640, 480), first);
        assert_eq!(all().draw(&[7; 32], 2, 640, 480), second);
    }

    #[test]
    fn seed_image_and_copy_each_change_what_happens() {
        let first = all().draw(&[7; 32], 1, 640, 480);
        assert_eq!(first, all().draw(&[7; 32], 1, 640, 480));
        assert_ne!(first, all().draw(&[7; 32], 2, 640, 480));
        assert_ne!(first, all().draw(&[8; 32], 1, 640, 480));
        assert_ne!(first, Augmentation { seed: 6, ..all() }.draw(&[7; 32], 1, 640, 480));
        // One option more leaves the others as they were.
        let still = Augmentation { rotation: 0.0, crop: RandomCrop::Off, ..all() };
        let still = still.draw(&[7; 32], 1, 640, 480);
        assert_eq!((still.brightness, still.flip), (first.brightness, first.flip));
    }

    #[test]
    fn draws_spread_over_their_ranges() {
        let drawn: Vec<Alteration> =
            (0..400).map(|copy| all().draw(&[1; 32], copy, 500, 400)).collect();
        let mean = |of: &dyn Fn(&Alteration) -> f64| drawn.iter().map(of).sum::<f64>() / 400.0;
        assert!(mean(&|a| a.degrees).abs() < 2.0);
        assert!((mean(&|a| f64::from(a.brightness)) - 1.0).abs() < 0.02);
        assert!((mean(&|a| f64::from(u8::from(a.flip))) - 0.5).abs() < 0.08);
        let share = |a: &Alteration| match a.part {
            Part::Box { width, height, .. } => (width * height) as f64 / 200_000.0,
            Part::Usual => panic!("a crop was asked for"),
        };
        assert!((mean(&share) - 0.6).abs() < 0.05, "{}", mean(&share));
    }

    proptest! {
        #[test]
        fn a_part_lies_in_the_picture_and_a_copy_fits_the_network(
            w in 1usize..60,
            h in 1usize..60,
            copy in 0u16..50,
            low in 0.01f64..1.0,
        ) {
            let augmentation = Augmentation { crop: RandomCrop::Area([low, 1.0]), ..all() };
            let drawn = augmentation.draw(&[3; 32], copy, w, h);
            let Part::Box { left, top, width, height } = drawn.part else { unreachable!() };
            prop_assert!(width >= 1 && height >= 1 && left + width <= w && top + height <= h);
            let picture = Picture::from_rgb(w, h, vec![100; 3 * w * h]).unwrap();
            let preprocess =
                Preprocess::new(12, 8, Interpolation::Bicubic, [0.0; 3], [1.0; 3]).unwrap();
            prop_assert_eq!(drawn.apply(&picture, &preprocess).len(), 3 * 64);
            // Mirrored twice, a picture is itself.
            let other = Alteration { flip: !drawn.flip, ..drawn.clone() };
            let mut once = other.pixels(&picture, &preprocess);
            once.chunks_exact_mut(24).for_each(mirror);
            prop_assert_eq!(once, drawn.pixels(&picture, &preprocess));
        }
    }
}
