//! Lists of which one is the rule: a list of one is written as its only entry, and read from it, so that
//! what knew one entry and what knows several is the same format.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Either<T> {
    Many(Vec<T>),
    One(T),
}

/// Writes a list.
///
/// # Errors
/// The serialiser's.
pub fn serialize<S: Serializer, T: Serialize + Clone>(
    list: &[T],
    to: S,
) -> Result<S::Ok, S::Error> {
    match list {
        [only] => Either::One(only.clone()).serialize(to),
        list => Either::Many(list.to_vec()).serialize(to),
    }
}

/// Reads a list.
///
/// # Errors
/// Neither an entry nor a list of entries.
pub fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Vec<T>, D::Error> {
    Ok(match Either::deserialize(from)? {
        Either::One(only) => vec![only],
        Either::Many(list) => list,
    })
}
