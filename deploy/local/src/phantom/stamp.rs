//! Letters on pictures, 5 by 7 pixels each.

use super::SIDE;
use super::canvas::Canvas;

/// Rows of a letter, the lowest five bits from left to right; empty for a letter that no stamp uses.
fn rows(letter: char) -> [u8; 7] {
    match letter {
        'A' => [0b01110, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'H' => [0b10001, 0b10001, 0b10001, 0b11111, 0b10001, 0b10001, 0b10001],
        'L' => [0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b10000, 0b11111],
        'M' => [0b10001, 0b11011, 0b10101, 0b10101, 0b10001, 0b10001, 0b10001],
        'N' => [0b10001, 0b11001, 0b10101, 0b10011, 0b10001, 0b10001, 0b10001],
        'O' => [0b01110, 0b10001, 0b10001, 0b10001, 0b10001, 0b10001, 0b01110],
        'P' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10000, 0b10000, 0b10000],
        'R' => [0b11110, 0b10001, 0b10001, 0b11110, 0b10100, 0b10010, 0b10001],
        'T' => [0b11111, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100, 0b00100],
        _ => [0; 7],
    }
}

/// Writes letters with their upper left corner at a pixel (column, row), each dot a square of
/// `size` pixels.
pub(super) fn write(
    picture: &mut Canvas,
    text: &str,
    (column, row): (usize, usize),
    size: usize,
    grey: f32,
) {
    for (at, letter) in text.chars().enumerate() {
        for (down, bits) in rows(letter).into_iter().enumerate() {
            for across in (0..5).filter(|across| bits & (0b10000 >> across) != 0) {
                let corner = (column + size * (6 * at + across), row + size * down);
                plate(picture, corner, (size, size), grey);
            }
        }
    }
}

/// Fills a rectangle; what lies outside of the picture is left out.
pub(super) fn plate(
    picture: &mut Canvas,
    (column, row): (usize, usize),
    (width, height): (usize, usize),
    grey: f32,
) {
    for row in row..(row + height).min(SIDE) {
        for column in column..(column + width).min(SIDE) {
            picture.0[row * SIDE + column] = grey;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stamped_letter_has_a_shape() {
        for letter in "PHANTOMLR".chars() {
            let mut canvas = Canvas::empty();
            write(&mut canvas, &letter.to_string(), (0, 0), 1, 1.0);
            assert!(canvas.0.iter().filter(|v| **v == 1.0).count() >= 9, "{letter}");
        }
        let mut canvas = Canvas::empty();
        write(&mut canvas, "LL", (SIDE - 8, SIDE - 3), 2, 1.0);
        assert!(canvas.0.contains(&1.0));
    }
}
