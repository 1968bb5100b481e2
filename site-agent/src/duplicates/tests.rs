//! Groups of copies and whom they harm, and that no near pair is missed.

use proptest::prelude::*;
use wardround_core::seed::Seed;
use wardround_vision::Picture;

use super::near::near_pairs;
use super::*;

/// A picture of its own for every number, of sums of waves.
fn picture(seed: u64) -> Picture {
    let draw = |wave: u8, what: u8| Seed(seed).uniform("picture", &[&[wave], &[what]]);
    let value = |x: f64, y: f64| -> f64 {
        let wave = |wave: u8| {
            let [a, b, c, size] = [0, 1, 2, 3].map(|what| draw(wave, what));
            size * (20.0 * (a * x + b * y) + 6.0 * c).sin()
        };
        (0..12).map(wave).sum::<f64>() / 12.0
    };
    let side = 48;
    let grey = |at: usize| {
        let (x, y) = ((at % side) as f64 / side as f64, (at / side) as f64 / side as f64);
        (127.5 + 120.0 * value(x, y)) as u8
    };
    let rgb = (0..side * side).flat_map(|at| [grey(at); 3]).collect();
    Picture::from_rgb(side, side, rgb).unwrap()
}

/// The same with one pixel a shade apart: other pixels, nearly the same hash.
fn altered(picture: &Picture) -> Picture {
    let mut rgb = picture.rgb().to_vec();
    rgb[..3].iter_mut().for_each(|shade| *shade ^= 1);
    Picture::from_rgb(picture.width(), picture.height(), rgb).unwrap()
}

fn row(at: usize, patient: &str, class: u8, fold: u8, picture: &Picture) -> Compared {
    Compared {
        row: at,
        patient: patient.to_owned(),
        classes: ClassSet::only(class),
        fold,
        print: Fingerprint::of(picture),
    }
}

#[test]
fn groups_say_whom_they_harm() {
    let [a, b, c] = [1, 2, 3].map(picture);
    let rows = vec![
        row(0, "p1", 0, 0, &a),
        row(1, "p2", 1, 1, &b),
        row(2, "p2", 1, 1, &altered(&b)),
        row(3, "p3", 1, 0, &c),
        row(4, "p4", 0, 1, &altered(&a)),
        row(5, "p3", 0, 0, &c),
        row(6, "p5", 0, 1, &a),
    ];
    let moved = std::cell::Cell::new(0);
    let groups = groups(rows, &|done| moved.set(done));
    assert_eq!(moved.get(), 16);
    let rows: Vec<Vec<usize>> =
        groups.iter().map(|group| group.members.iter().map(|(row, _)| row.row).collect()).collect();
    assert_eq!(rows, [vec![0, 4, 6], vec![3, 5], vec![1, 2]]);
    let harms: Vec<Harm> = groups.iter().map(Group::harm).collect();
    assert_eq!(harms, [Harm::SeveralPatients, Harm::SeveralLabels, Harm::None]);
    let [across, labels, ..] = groups.as_slice() else { panic!("three groups") };
    assert_eq!((across.patients(), across.labels(), across.folds()), (3, 1, 2));
    assert_eq!((labels.patients(), labels.labels(), labels.folds()), (1, 2, 1));
    let alike: Vec<Alike> = across.members.iter().map(|(_, alike)| *alike).collect();
    let Alike::Near { bits } = alike[1] else { panic!("{alike:?}") };
    assert!(bits <= FURTHEST);
    assert_eq!([alike[0], alike[2]], [Alike::First, Alike::SamePixels]);
}

#[test]
fn images_without_contrast_are_copies_of_the_same_pixels_alone() {
    let flat = |shade| Picture::from_rgb(8, 8, vec![shade; 8 * 8 * 3]).unwrap();
    let shades = [0, 90, 0, 91];
    let rows = shades.iter().enumerate();
    let rows = rows.map(|(at, shade)| row(at, &at.to_string(), 0, 0, &flat(*shade))).collect();
    let groups = groups(rows, &|_| {});
    let rows: Vec<usize> = groups[0].members.iter().map(|(row, _)| row.row).collect();
    assert_eq!((groups.len(), rows), (1, vec![0, 2]));
    assert_eq!(groups[0].members[1].1, Alike::SamePixels);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Every pair within the limit is found, and no other.
    #[test]
    fn no_near_pair_is_missed(
        bases in prop::collection::vec(any::<[u64; 4]>(), 1..6),
        flips in prop::collection::vec((any::<prop::sample::Index>(), prop::collection::vec(0usize..256, 0..45)), 1..40),
    ) {
        let hashes: Vec<PerceptualHash> = flips.iter().map(|(base, flips)| {
            let mut words = bases[base.index(bases.len())];
            flips.iter().for_each(|bit| words[bit / 64] ^= 1 << (bit % 64));
            PerceptualHash::from_words(words)
        }).collect();
        let mut found = BTreeSet::new();
        near_pairs(&hashes, &mut |a, b| { found.insert((a, b)); }, &|_| {});
        let mut expected = BTreeSet::new();
        for a in 0..hashes.len() {
            for b in a + 1..hashes.len() {
                if hashes[a].distance(&hashes[b]) <= FURTHEST {
                    expected.insert((a, b));
                }
            }
        }
        prop_assert_eq!(found, expected);
    }
}
