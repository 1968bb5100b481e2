//! From densities to a PNG: blur, noise, contrast, marker, bit depth.

use std::io::Cursor;

use image::{ImageBuffer, ImageFormat, ImageResult, Luma};

use super::SIDE;
use super::canvas::Canvas;
use super::dice::Dice;
use super::stamp;

/// A machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scanner {
    /// Brightness per density.
    pub gain: f32,
    /// Grey of air.
    pub haze: f32,
    /// Exponent of the characteristic curve; above 1 is hard.
    pub gamma: f32,
    /// Deviation of the blur in pixels.
    pub blur: f32,
    /// How much of the difference to the blurred picture is added.
    pub sharpen: f32,
    /// Deviation of the noise where tissue is dense; less where it is thin.
    pub noise: f32,
    /// How much darker the corners are.
    pub vignette: f32,
    pub depth: Depth,
    pub marker: Marker,
}

/// Bits of a pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Depth {
    Eight,
    Sixteen,
}

/// The letter in a corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Marker {
    None,
    /// White letter.
    Bright {
        letter: char,
        left: bool,
    },
    /// Dark letter on a white plate.
    Inverted {
        letter: char,
    },
}

impl Scanner {
    /// A machine without peculiarities.
    pub fn usual() -> Self {
        Self {
            gain: 0.98,
            haze: 0.02,
            gamma: 1.0,
            blur: 0.5,
            sharpen: 0.3,
            noise: 0.012,
            vignette: 0.05,
            depth: Depth::Eight,
            marker: Marker::Bright { letter: 'L', left: false },
        }
    }

    /// The picture as PNG.
    pub fn picture(&self, density: Canvas, dice: &mut Dice) -> ImageResult<Vec<u8>> {
        let exposure = 1.0 + 0.04 * dice.bell();
        let mut picture = density.blurred(self.blur);
        if self.sharpen > 0.0 {
            let soft = picture.clone().blurred(3.0);
            let sharp = picture.clone();
            picture.add(&sharp, |_| self.sharpen);
            picture.add(&soft, |_| -self.sharpen);
        }
        for (at, value) in picture.0.iter_mut().enumerate() {
            let middle = SIDE as f32 / 2.0;
            let (x, y) = ((at % SIDE) as f32 / middle - 1.0, (at / SIDE) as f32 / middle - 1.0);
            let corner = 1.0 - self.vignette * (x * x + y * y);
            let dense = value.clamp(0.0, 1.2);
            let noise = self.noise * (0.35 + 0.65 * dense) * dice.bell();
            let bright = exposure * self.gain * corner * dense / 1.12;
            *value = self.haze + libm::powf(bright.clamp(0.0, 1.0), self.gamma) + noise;
        }
        self.mark(&mut picture);
        self.encode(&picture)
    }

    fn mark(&self, picture: &mut Canvas) {
        match self.marker {
            Marker::None => {}
            Marker::Bright { letter, left } => {
                let column = if left { 30 } else { SIDE - 46 };
                stamp::write(picture, &letter.to_string(), (column, 34), 2, 0.95);
            }
            Marker::Inverted { letter } => {
                stamp::plate(picture, (SIDE - 50, 30), (18, 22), 0.97);
                stamp::write(picture, &letter.to_string(), (SIDE - 46, 34), 2, 0.08);
            }
        }
        // Below the usual centre crop, so that no network sees it.
        stamp::write(picture, "PHANTOM", (SIDE / 2 - 21, SIDE - 11), 1, 0.90);
    }

    fn encode(&self, picture: &Canvas) -> ImageResult<Vec<u8>> {
        let side = SIDE as u32;
        let mut png = Cursor::new(Vec::new());
        let at = |x: u32, y: u32| picture.0[y as usize * SIDE + x as usize].clamp(0.0, 1.0);
        match self.depth {
            Depth::Eight => {
                let pixel = |x, y| Luma([libm::roundf(255.0 * at(x, y)) as u8]);
                ImageBuffer::from_fn(side, side, pixel).write_to(&mut png, ImageFormat::Png)?;
            }
            Depth::Sixteen => {
                let pixel = |x, y| Luma([libm::roundf(65_535.0 * at(x, y)) as u16]);
                ImageBuffer::from_fn(side, side, pixel).write_to(&mut png, ImageFormat::Png)?;
            }
        }
        Ok(png.into_inner())
    }
}
