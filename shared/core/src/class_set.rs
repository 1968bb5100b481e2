//! The classes of a row: one where a study has classes, any number of labels where it has labels.

use serde::{Deserialize, Serialize};

/// A set of class codes below 64, as bits. Written as a code where it has one class, else as their list.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(into = "Written", try_from = "Written")]
pub struct ClassSet(pub u64);

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    One(u8),
    Several(Vec<u8>),
}

impl ClassSet {
    /// One class. Codes from 64 on are in no set.
    pub fn only(class: u8) -> Self {
        Self(1u64.checked_shl(u32::from(class)).unwrap_or(0))
    }

    /// Adds a class.
    pub fn insert(&mut self, class: u8) {
        self.0 |= Self::only(class).0;
    }

    /// Whether a class is in it.
    pub fn has(self, class: u8) -> bool {
        class < 64 && self.0 >> class & 1 == 1
    }

    /// The classes in it, ascending.
    pub fn iter(self) -> impl Iterator<Item = u8> + Clone {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let next = (rest != 0).then(|| rest.trailing_zeros() as u8);
            rest &= rest.wrapping_sub(1);
            next
        })
    }

    /// How many there are.
    pub fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// The only class of it; `None` where there is none or several.
    pub fn single(self) -> Option<u8> {
        self.0.is_power_of_two().then(|| self.0.trailing_zeros() as u8)
    }
}

impl From<u8> for ClassSet {
    fn from(class: u8) -> Self {
        Self::only(class)
    }
}

impl From<ClassSet> for Written {
    fn from(set: ClassSet) -> Self {
        set.single().map_or_else(|| Self::Several(set.iter().collect()), Self::One)
    }
}

impl TryFrom<Written> for ClassSet {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let codes = match written {
            Written::One(code) => vec![code],
            Written::Several(codes) => codes,
        };
        match codes.iter().find(|code| **code >= 64) {
            Some(code) => Err(format!("a class of code {code}, expected 0 to 63")),
            None => Ok(codes.into_iter().collect()),
        }
    }
}

impl FromIterator<u8> for ClassSet {
    fn from_iter<T: IntoIterator<Item = u8>>(classes: T) -> Self {
        Self(classes.into_iter().fold(0, |bits, class| bits | Self::only(class).0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_holds_what_was_put_in() {
        let set: ClassSet = [5, 0, 63, 5].into_iter().collect();
        assert_eq!((set.iter().collect::<Vec<_>>(), set.count()), (vec![0, 5, 63], 3));
        assert!(set.has(63) && !set.has(1) && !set.has(64) && !set.has(255));
        assert_eq!((set.single(), ClassSet::only(7).single()), (None, Some(7)));
        assert_eq!((ClassSet::only(64), ClassSet::default().single()), (ClassSet(0), None));
    }

    #[test]
    fn a_single_class_is_written_as_its_code() {
        for (set, text) in
            [(ClassSet::only(3), "3"), (ClassSet(0b101), "[0,2]"), (ClassSet(0), "[]")]
        {
            assert_eq!(serde_json::to_string(&set).unwrap(), text);
            assert_eq!(serde_json::from_str::<ClassSet>(text).unwrap(), set);
        }
        assert!(serde_json::from_str::<ClassSet>("64").is_err());
    }
}
