//! How a schema is encoded: as ever where a row has one class and all rows count the same. Else the byte of
//! the number of classes, which is never above 64, says it: by its top bit that a row may have several, by
//! 63 more that rows have weights. Levels, of which a column never has 0, begin with a 0 and a code where exams or
//! patients are judged.

use serde::{Deserialize, Serialize};

use super::{JudgedUnit, Labelling, MOST_CLASSES, Schema, Weighting};

const SEVERAL: u8 = 0x80;
const WEIGHTED: u8 = MOST_CLASSES - 1;

/// A schema's encoded fields.
#[derive(Serialize, Deserialize)]
pub(super) struct Encoded {
    features: u32,
    classes: u8,
    levels: Vec<u8>,
}

impl From<Schema> for Encoded {
    fn from(Schema { features, classes, labelling, weighting, judged, levels }: Schema) -> Self {
        let several = match labelling {
            Labelling::Single => 0,
            Labelling::Multi => SEVERAL,
        };
        let weighted = match weighting {
            Weighting::Equal => 0,
            Weighting::Given => WEIGHTED,
        };
        let levels = match judged.code() {
            None => levels,
            Some(code) => [0, code].into_iter().chain(levels).collect(),
        };
        Self { features, classes: several | (classes & !SEVERAL).wrapping_add(weighted), levels }
    }
}

impl From<Encoded> for Schema {
    fn from(Encoded { features, classes: code, levels }: Encoded) -> Self {
        let labelling = if code & SEVERAL == 0 { Labelling::Single } else { Labelling::Multi };
        let (classes, weighting) = match code & !SEVERAL {
            classes @ ..=MOST_CLASSES => (classes, Weighting::Equal),
            weighted => (weighted - WEIGHTED, Weighting::Given),
        };
        let (judged, levels) = match levels.as_slice() {
            [0, code, rest @ ..] => match JudgedUnit::from_code(*code) {
                Some(judged) => (judged, rest.to_vec()),
                // A column without levels fits no query.
                None => (JudgedUnit::Row, levels),
            },
            _ => (JudgedUnit::Row, levels),
        };
        Self { features, classes, labelling, weighting, judged, levels }
    }
}

#[cfg(test)]
mod tests {
    use super::super::UnitScore;
    use super::*;
    use crate::query::encoding::{decode, encode};

    #[test]
    fn a_schema_is_encoded_as_ever_and_the_rest_beside_the_classes() {
        let of = |classes, labelling, weighting| {
            let levels = vec![3, 2];
            Schema { features: 300, classes, labelling, weighting, judged: JudgedUnit::Row, levels }
        };
        for (labelling, weighting, code) in [
            (Labelling::Single, Weighting::Equal, 15u8),
            (Labelling::Multi, Weighting::Equal, 143),
            (Labelling::Single, Weighting::Given, 78),
            (Labelling::Multi, Weighting::Given, 206),
        ] {
            let schema = of(15, labelling, weighting);
            assert_eq!(encode(&schema), encode(&(300u32, code, vec![3u8, 2])));
            for classes in 2..=MOST_CLASSES {
                let schema = of(classes, labelling, weighting);
                assert_eq!(decode::<Schema>(&encode(&schema)), Ok(schema));
            }
            for score in [UnitScore::Mean, UnitScore::Max] {
                for judged in [JudgedUnit::Exam(score), JudgedUnit::Patient(score)] {
                    let schema = Schema { judged, ..schema.clone() };
                    assert_eq!(decode::<Schema>(&encode(&schema)), Ok(schema));
                }
            }
        }
    }
}
