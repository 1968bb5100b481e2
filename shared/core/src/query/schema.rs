//! How a schema is encoded: as ever where a row has one class; else the top bit of the number of classes,
//! which is never above 64, says that a row may have several.

use serde::{Deserialize, Serialize};

use super::{Labelling, Schema};

const SEVERAL: u8 = 0x80;

/// A schema's encoded fields.
#[derive(Serialize, Deserialize)]
pub(super) struct Encoded {
    features: u32,
    classes: u8,
    levels: Vec<u8>,
}

impl From<Schema> for Encoded {
    fn from(Schema { features, classes, labelling, levels }: Schema) -> Self {
        let several = match labelling {
            Labelling::Single => 0,
            Labelling::Multi => SEVERAL,
        };
        Self { features, classes: classes | several, levels }
    }
}

impl From<Encoded> for Schema {
    fn from(Encoded { features, classes, levels }: Encoded) -> Self {
        let labelling = if classes & SEVERAL == 0 { Labelling::Single } else { Labelling::Multi };
        Self { features, classes: classes & !SEVERAL, labelling, levels }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::encoding::{decode, encode};

    #[test]
    fn a_schema_is_encoded_as_ever_and_several_labels_as_a_bit() {
        let of = |labelling| Schema { features: 300, classes: 15, labelling, levels: vec![3, 2] };
        assert_eq!(encode(&of(Labelling::Single)), encode(&(300u32, 15u8, vec![3u8, 2])));
        assert_eq!(encode(&of(Labelling::Multi)), encode(&(300u32, 143u8, vec![3u8, 2])));
        for labelling in [Labelling::Single, Labelling::Multi] {
            assert_eq!(decode::<Schema>(&encode(&of(labelling))), Ok(of(labelling)));
        }
    }
}
