//! A map drawn over an image: orange where it speaks for a class, blue where it speaks against it, the stronger the less transparent.
//!
//! The two colours differ for every kind of colour blindness (M. Okabe and K. Ito's palette, 2008), and no reader has to tell them
//! apart: a solid line runs around what is above half of the strongest number, a dotted one around what is below minus half of it.
//! Lines are white inside and black outside, so that they stand out from every image.

use crate::image::Picture;

/// Speaks for the class.
pub const FOR: [u8; 3] = [230, 159, 0];

/// Speaks against it.
pub const AGAINST: [u8; 3] = [0, 114, 178];

/// How much the colour of the strongest number hides of the image.
const OPACITY: f64 = 0.6;

/// Length of a dot and of the gap after it, in pixels along both sides.
const DOT: usize = 3;

/// Draws `heat`, one number per pixel, over a square picture of RGB triples; `strongest` is the number that has full colour. `None`
/// when they don't fit together.
pub fn overlay(rgb: &[u8], side: usize, heat: &[f64], strongest: f64) -> Option<Picture> {
    if heat.len() != side * side || rgb.len() != 3 * heat.len() {
        return None;
    }
    let mut painted = rgb.to_vec();
    for (pixel, &value) in painted.chunks_exact_mut(3).zip(heat) {
        let strength = if strongest > 0.0 { (value / strongest).clamp(-1.0, 1.0) } else { 0.0 };
        let colour = if strength > 0.0 { FOR } else { AGAINST };
        blend(pixel, colour, OPACITY * strength.abs());
    }
    if strongest > 0.0 {
        let half = strongest / 2.0;
        outline(&mut painted, side, |pixel| heat[pixel] >= half, |_| true);
        let is_dot = |pixel: usize| ((pixel / side + pixel % side) / DOT).is_multiple_of(2);
        outline(&mut painted, side, |pixel| heat[pixel] <= -half, is_dot);
    }
    Picture::from_rgb(side, side, painted)
}

/// The scale beside the maps: from minus the strongest number on the left to the strongest on the right, over mid grey, with the lines
/// where they run.
pub fn scale(width: usize, height: usize) -> Option<Picture> {
    let mut rgb = Vec::with_capacity(3 * width * height);
    for _ in 0..height {
        for column in 0..width {
            let strength = (2 * column + 1) as f64 / width as f64 - 1.0;
            let mut pixel = [128; 3];
            let colour = if strength > 0.0 { FOR } else { AGAINST };
            blend(&mut pixel, colour, OPACITY * strength.abs());
            rgb.extend(pixel);
        }
    }
    for (row, line) in rgb.chunks_exact_mut(3 * width).enumerate() {
        let (against, speaks_for) = (width / 4, 3 * width / 4);
        let dot = (row / DOT).is_multiple_of(2);
        for (inside, outside, drawn) in
            [(speaks_for, speaks_for.wrapping_sub(1), true), (against, against + 1, dot)]
        {
            if drawn && inside < width && outside < width {
                line[3 * inside..][..3].fill(255);
                line[3 * outside..][..3].fill(0);
            }
        }
    }
    Picture::from_rgb(width, height, rgb)
}

fn blend(pixel: &mut [u8], colour: [u8; 3], opacity: f64) {
    for (channel, colour) in pixel.iter_mut().zip(colour) {
        let mixed = f64::from(*channel) * (1.0 - opacity) + f64::from(colour) * opacity;
        *channel = mixed.round() as u8;
    }
}

/// Draws a line around all pixels that are inside, where it is drawn.
fn outline(
    rgb: &mut [u8],
    side: usize,
    inside: impl Fn(usize) -> bool,
    drawn: impl Fn(usize) -> bool,
) {
    for pixel in 0..side * side {
        let (row, column) = (pixel / side, pixel % side);
        let around = [
            (row > 0).then(|| pixel - side),
            (row + 1 < side).then(|| pixel + side),
            (column > 0).then(|| pixel - 1),
            (column + 1 < side).then(|| pixel + 1),
        ];
        let here = inside(pixel);
        if around.into_iter().flatten().any(|other| inside(other) != here) && drawn(pixel) {
            rgb[3 * pixel..][..3].fill(if here { 255 } else { 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIDE: usize = 16;

    fn pixel(picture: &Picture, row: usize, column: usize) -> [u8; 3] {
        let at = 3 * (row * picture.width() + column);
        picture.rgb()[at..at + 3].try_into().unwrap()
    }

    #[test]
    fn colour_line_and_side_say_the_same() {
        let grey = vec![100; 3 * SIDE * SIDE];
        let heat: Vec<f64> = (0..SIDE * SIDE)
            .map(|at| match at % SIDE {
                ..4 => 2.0,
                4..12 => 0.0,
                _ => -1.5,
            })
            .collect();
        let painted = overlay(&grey, SIDE, &heat, 2.0).unwrap();
        let [red, _, blue] = pixel(&painted, 8, 1);
        assert!(red > 150 && blue < 60, "{red} {blue}");
        let [red, _, blue] = pixel(&painted, 8, 14);
        assert!(red < 70 && blue > 110, "{red} {blue}");
        assert_eq!(pixel(&painted, 8, 8), [100; 3], "where nothing speaks the image stays");
        // The solid line has no gap, the dotted one has some.
        let column = |at: usize, colour: u8| {
            (0..SIDE).filter(|&row| pixel(&painted, row, at) == [colour; 3]).count()
        };
        assert_eq!((column(3, 255), column(4, 0)), (SIDE, SIDE));
        assert!((4..=12).contains(&column(12, 255)) && (4..=12).contains(&column(11, 0)));
        let flat = overlay(&grey, SIDE, &vec![0.0; SIDE * SIDE], 0.0).unwrap();
        assert_eq!(flat.rgb(), grey);
        assert_eq!(overlay(&grey, SIDE, &heat[1..], 1.0), None);
    }

    #[test]
    fn a_painted_picture_is_a_png() {
        let scale = scale(64, 8).unwrap();
        let bytes = scale.png().unwrap();
        assert_eq!(crate::image::decode_picture(&bytes, "scale").unwrap(), scale);
        let ([left, ..], [right, ..]) = (pixel(&scale, 0, 0), pixel(&scale, 0, 63));
        assert!(left < 70 && right > 150, "{left} {right}");
        assert_eq!(pixel(&scale, 5, 48), [255; 3]);
    }
}
