//! Altered copies against PIL and torchvision, for given parameters; `make_augmented.py` made the pictures.

use std::fs;

use wardround_vision::image::{Alteration, Part};
use wardround_vision::{Interpolation, Preprocess, read_picture};

use super::{golden, pictures};

#[test]
fn altered_pictures_are_pillows() {
    let cases = fs::read_to_string(golden("augmented.tsv")).unwrap();
    assert_eq!(cases.lines().count(), 12);
    for case in cases.lines() {
        let fields: Vec<&str> = case.split('\t').collect();
        let number = |at: usize| fields[at].parse::<usize>().unwrap();
        let part = match fields[2] {
            "-" => Part::Usual,
            sides => {
                let sides: Vec<usize> = sides.split(' ').map(|n| n.parse().unwrap()).collect();
                let [left, top, width, height] = sides.try_into().unwrap();
                Part::Box { left, top, width, height }
            }
        };
        let alteration = Alteration {
            degrees: fields[1].parse().unwrap(),
            part,
            flip: fields[3] == "1",
            brightness: fields[4].parse().unwrap(),
            contrast: fields[5].parse().unwrap(),
        };
        let (side, crop) = (number(6), number(7));
        let preprocess =
            Preprocess::new(side, crop, Interpolation::Bicubic, [0.0; 3], [1.0; 3]).unwrap();
        let picture = read_picture(&pictures()[number(0)]).unwrap();
        let expected = read_picture(&golden(fields[8])).unwrap();
        let got = alteration.pixels(&picture, &preprocess);
        assert_eq!(got.len(), expected.rgb().len(), "{case}");
        let wrong = got.iter().zip(expected.rgb()).filter(|(a, b)| a != b).count();
        assert_eq!(wrong, 0, "of {} values: {case}", got.len());
    }
}
