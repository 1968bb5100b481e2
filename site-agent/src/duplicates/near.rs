//! Pairs of near hashes among many, without comparing each with each.
//!
//! Source: multi-index hashing (Norouzi, Punjani, Fleet 2012). A hash is cut into 16 bands of 16 bits. Two hashes that differ by at most
//! [`FURTHEST`] bits have a band in which they differ by at most one: by the pigeonhole principle, since two bits in each of 16 bands would
//! be 32. So only those are compared that agree in a band but for one bit, and no near pair is missed.

use wardround_vision::PerceptualHash;

/// Hashes that differ by at most so many of 256 bits are near. Measured on public images: of pairs of different patients none that isn't
/// a copy is so near among 500,000 of nih1000 (nearest 54) and 32 million of ham10000 (nearest 34; groups are lesions), and
/// copies encoded anew (quality 75), halved, or 20 % brighter or darker are, but for one in 300; of copies cut by 1 %
/// on either side 98 of 100 are on ham10000 and 37 on nih1000.
pub const FURTHEST: u32 = 31;

const BANDS: usize = PerceptualHash::BANDS;
const VALUES: usize = 1 << 16;

/// Tells of pairs `(a, b)`, `a < b`, of places in `hashes` whose hashes are near; of some pairs several times. `moved` hears after each
/// band how many of 16 are done.
pub fn near_pairs(
    hashes: &[PerceptualHash],
    tell: &mut dyn FnMut(usize, usize),
    moved: &dyn Fn(u64),
) {
    for band in 0..BANDS {
        let of_band = Band::of(hashes, band);
        for (a, hash) in hashes.iter().enumerate() {
            let own = hash.band(band);
            let probes = (0..16).map(|bit| own ^ (1 << bit));
            for value in probes.chain([own]) {
                for &b in of_band.with(value) {
                    let b = b as usize;
                    if a < b && hash.distance(&hashes[b]) <= FURTHEST {
                        tell(a, b);
                    }
                }
            }
        }
        moved(band as u64 + 1);
    }
}

/// Which hashes have which value in a band.
struct Band {
    /// Where the places of a value begin; one more than there are values.
    starts: Vec<u32>,
    places: Vec<u32>,
}

impl Band {
    fn of(hashes: &[PerceptualHash], band: usize) -> Self {
        let mut starts = vec![0; VALUES + 1];
        for hash in hashes {
            starts[usize::from(hash.band(band)) + 1] += 1;
        }
        for value in 0..VALUES {
            starts[value + 1] += starts[value];
        }
        let (mut next, mut places) = (starts.clone(), vec![0; hashes.len()]);
        for (place, hash) in (0..).zip(hashes) {
            let next = &mut next[usize::from(hash.band(band))];
            places[*next as usize] = place;
            *next += 1;
        }
        Self { starts, places }
    }

    fn with(&self, value: u16) -> &[u32] {
        let value = usize::from(value);
        &self.places[self.starts[value] as usize..self.starts[value + 1] as usize]
    }
}
