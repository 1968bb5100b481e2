//! Looks for many short byte strings at once.

use std::collections::{BTreeMap, HashMap};

/// What must not be found.
#[derive(Debug, Clone)]
pub struct Needles {
    /// By length: the bytes, and what they are.
    by_length: BTreeMap<usize, HashMap<Vec<u8>, String>>,
    /// Whether some needle begins with these two bytes.
    begins: Vec<bool>,
}

impl Needles {
    /// None.
    pub fn new() -> Self {
        Self { by_length: BTreeMap::new(), begins: vec![false; 1 << 16] }
    }

    /// Adds one. Shorter ones would be found by chance.
    pub fn add(&mut self, what: impl Into<String>, bytes: &[u8]) {
        assert!(bytes.len() >= 8, "{} bytes are too few", bytes.len());
        self.begins[beginning(bytes)] = true;
        self.by_length.entry(bytes.len()).or_default().insert(bytes.to_vec(), what.into());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.by_length.values().map(HashMap::len).sum()
    }

    /// What of them occurs in some bytes.
    pub fn find(&self, bytes: &[u8]) -> Option<&str> {
        let starts = (0..bytes.len().saturating_sub(1))
            .filter(|&start| self.begins[beginning(&bytes[start..])]);
        for start in starts {
            let rest = &bytes[start..];
            for (&length, needles) in self.by_length.range(..=rest.len()) {
                if let Some(what) = needles.get(&rest[..length]) {
                    return Some(what);
                }
            }
        }
        None
    }
}

fn beginning(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

#[test]
fn needles_are_found_wherever_they_lie() {
    let mut needles = Needles::new();
    needles.add("key", b"MRN-0001");
    needles.add("number", &1.25f64.to_le_bytes());
    needles.add("name", b"a longer name");
    assert_eq!(needles.len(), 3);
    for (what, bytes) in [
        ("key", b"MRN-0001".as_slice()),
        ("number", &1.25f64.to_le_bytes()),
        ("name", b"a longer name"),
    ] {
        for (before, after) in [(0, 0), (3, 0), (0, 5), (7, 1)] {
            let hay = [vec![b'M'; before], bytes.to_vec(), vec![0; after]].concat();
            assert_eq!(needles.find(&hay), Some(what));
            assert_eq!(needles.find(&hay[..before + bytes.len() - 1]), None);
        }
    }
    assert_eq!(needles.find(b""), None);
}
