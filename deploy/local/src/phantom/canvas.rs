//! A square of densities and the brushes that chests are made of.
//!
//! Places are in units of half the picture: x from -1 (left edge) to 1, y from -1 (top) to 1.

use super::SIDE;
use super::dice::Dice;

const HALF: f32 = SIDE as f32 / 2.0;

/// Densities, row by row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Canvas(pub Vec<f32>);

impl Canvas {
    /// A function of the place.
    pub fn of(mut density: impl FnMut(f32, f32) -> f32) -> Self {
        let mut values = Vec::with_capacity(SIDE * SIDE);
        for row in 0..SIDE {
            for column in 0..SIDE {
                values.push(density(place(column), place(row)));
            }
        }
        Self(values)
    }

    /// Nothing anywhere.
    pub fn empty() -> Self {
        Self(vec![0.0; SIDE * SIDE])
    }

    /// Adds another canvas, scaled by a number per pixel.
    pub fn add(&mut self, other: &Canvas, weight: impl Fn(usize) -> f32) {
        for (at, (value, more)) in self.0.iter_mut().zip(&other.0).enumerate() {
            *value += more * weight(at);
        }
    }

    /// A soft disc at least as dense as what is there; `profile` takes the squared distance (0 in
    /// the centre, 1 at the rim).
    pub fn disc(&mut self, (x, y): (f32, f32), radius: f32, profile: impl Fn(f32) -> f32) {
        self.within((x - radius, y - radius), (x + radius, y + radius), |px, py, value| {
            let (dx, dy) = ((px - x) / radius, (py - y) / radius);
            let distance = dx * dx + dy * dy;
            if distance < 1.0 {
                *value = value.max(profile(distance));
            }
        });
    }

    /// A line whose width and density fade from one end to the other.
    pub fn taper(&mut self, from: Point, to: Point) {
        let wide = from.width.max(to.width);
        let low = (from.x.min(to.x) - wide, from.y.min(to.y) - wide);
        let high = (from.x.max(to.x) + wide, from.y.max(to.y) + wide);
        let (dx, dy) = (to.x - from.x, to.y - from.y);
        let length = (dx * dx + dy * dy).max(1e-9);
        self.within(low, high, |px, py, value| {
            let along = (((px - from.x) * dx + (py - from.y) * dy) / length).clamp(0.0, 1.0);
            let (ax, ay) = (px - from.x - along * dx, py - from.y - along * dy);
            let width = from.width + along * (to.width - from.width);
            let density = from.density + along * (to.density - from.density);
            let inside = 1.0 - (ax * ax + ay * ay) / (width * width);
            if inside > 0.0 {
                *value = value.max(density * inside);
            }
        });
    }

    /// A band along a curve given as y over x, as thick across its slope as where it is level.
    /// `profile` gives the density at an x and a place across (-1 to 1).
    pub fn band(
        &mut self,
        (start, end): (f32, f32),
        half_width: f32,
        curve: impl Fn(f32) -> f32,
        profile: impl Fn(f32, f32) -> f32,
    ) {
        for at in pixel(start)..pixel(end).min(SIDE) {
            let x = place(at);
            let y = curve(x);
            let slope = (curve(x + 0.01) - curve(x - 0.01)) / 0.02;
            let half = half_width * libm::sqrtf(1.0 + slope * slope).min(6.0);
            for row in pixel(y - half)..pixel(y + half + 2.0 / HALF).min(SIDE) {
                let across = (place(row) - y) / half;
                if across.abs() < 1.0 {
                    let value = &mut self.0[row * SIDE + at];
                    *value = value.max(profile(x, across));
                }
            }
        }
    }

    /// Blurs with a Gaussian of some deviation in pixels; the border repeats.
    pub fn blurred(self, deviation: f32) -> Self {
        if deviation < 0.05 {
            return self;
        }
        let reach = libm::ceilf(3.0 * deviation) as isize;
        let mut kernel: Vec<f32> = (-reach..=reach)
            .map(|at| libm::expf(-0.5 * (at * at) as f32 / (deviation * deviation)))
            .collect();
        let total: f32 = kernel.iter().sum();
        kernel.iter_mut().for_each(|weight| *weight /= total);
        // Each pass transposes, so that both read along rows.
        transposed_blur(&transposed_blur(&self, &kernel), &kernel)
    }

    /// Shifted, turned (radians) and magnified about the centre; the border repeats.
    pub fn moved(&self, (dx, dy): (f32, f32), turn: f32, magnify: f32) -> Self {
        let (sine, cosine) = (libm::sinf(turn) / magnify, libm::cosf(turn) / magnify);
        let last = (SIDE - 1) as f32;
        Self::of(|x, y| {
            let (x, y) = (x - dx, y - dy);
            let from = |place: f32| ((place + 1.0) * HALF - 0.5).clamp(0.0, last);
            let (column, row) = (from(cosine * x + sine * y), from(cosine * y - sine * x));
            let (left, top) = (column as usize, row as usize);
            let (right, bottom) = ((left + 1).min(SIDE - 1), (top + 1).min(SIDE - 1));
            let (across, down) = (column - left as f32, row - top as f32);
            let mix = |row: usize| {
                let (a, b) = (self.0[row * SIDE + left], self.0[row * SIDE + right]);
                a + across * (b - a)
            };
            let (a, b) = (mix(top), mix(bottom));
            a + down * (b - a)
        })
    }

    /// Smooth random hills with deviation near 1: random numbers on a coarse grid of `cells` a side,
    /// smoothly interpolated.
    pub fn hills(cells: usize, dice: &mut Dice) -> Self {
        let grid: Vec<f32> = (0..(cells + 1) * (cells + 1)).map(|_| 1.5 * dice.bell()).collect();
        let step: Vec<(usize, f32)> = (0..SIDE)
            .map(|at| {
                let position = at as f32 * cells as f32 / SIDE as f32;
                let cell = position as usize;
                (cell, smooth(0.0, 1.0, position - cell as f32))
            })
            .collect();
        let mut values = Vec::with_capacity(SIDE * SIDE);
        for &(row, down) in &step {
            let (upper, lower) = (row * (cells + 1), (row + 1) * (cells + 1));
            for &(column, right) in &step {
                let mix = |row: usize| {
                    let (a, b) = (grid[row + column], grid[row + column + 1]);
                    a + right * (b - a)
                };
                let (a, b) = (mix(upper), mix(lower));
                values.push(a + down * (b - a));
            }
        }
        Self(values)
    }

    fn within(&mut self, low: (f32, f32), high: (f32, f32), mut f: impl FnMut(f32, f32, &mut f32)) {
        for row in pixel(low.1)..pixel(high.1).min(SIDE) {
            for column in pixel(low.0)..pixel(high.0).min(SIDE) {
                f(place(column), place(row), &mut self.0[row * SIDE + column]);
            }
        }
    }
}

/// An end of a tapering line.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub x: f32,
    pub y: f32,
    /// Half the line's width.
    pub width: f32,
    pub density: f32,
}

/// 0 below `low`, 1 above `high`, smooth between; `low` may be the larger one.
pub(super) fn smooth(low: f32, high: f32, x: f32) -> f32 {
    let t = ((x - low) / (high - low)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn transposed_blur(from: &Canvas, kernel: &[f32]) -> Canvas {
    let reach = kernel.len() / 2;
    let mut to = Canvas::empty();
    let mut padded = vec![0.0; SIDE + 2 * reach];
    for row in 0..SIDE {
        let line = &from.0[row * SIDE..(row + 1) * SIDE];
        padded[..reach].fill(line[0]);
        padded[reach..reach + SIDE].copy_from_slice(line);
        padded[reach + SIDE..].fill(line[SIDE - 1]);
        for (column, window) in padded.windows(kernel.len()).enumerate() {
            to.0[column * SIDE + row] = window.iter().zip(kernel).map(|(v, w)| v * w).sum();
        }
    }
    to
}

/// Where a pixel's centre lies.
fn place(pixel: usize) -> f32 {
    (pixel as f32 + 0.5) / HALF - 1.0
}

/// The first pixel at or after a place; casts saturate.
fn pixel(place: f32) -> usize {
    ((place + 1.0) * HALF) as usize
}
