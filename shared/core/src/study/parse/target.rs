//! What is predicted: two classes, one of several, or any of several labels.

use super::super::{Classes, Negative, SecondReader, Target};
use super::{MOST, column};
use crate::read::{self, Key, Value};

const TARGET: &[Key] = &[
    Key::value("column", "\"diagnosis\""),
    Key::value("positive", "[\"mel\"]"),
    Key::value("negative", "[\"nv\"]"),
    Key::value("one_vs_rest", "[\"mel\", \"nv\", \"bcc\"]"),
    Key::value("any_of", "[\"effusion\", \"mass\"]"),
    Key::value("separator", "\"|\""),
    Key::value("second_reader", "\"diagnosis_2\""),
];

/// Labels that may stand together at most: rows with none of them are a class of their own.
const MOST_LABELS: usize = MOST - 1;

pub(super) fn target(root: &read::Table<'_>) -> Option<Target> {
    let table = root.section("target", TARGET)?;
    let name = table.required("column").and_then(|v| column(&v));
    let [positive, negative, rest, any_of, separator] =
        ["positive", "negative", "one_vs_rest", "any_of", "separator"]
            .map(|key| table.optional(key));
    let classes = match (positive, rest, any_of) {
        (None, None, Some(any_of)) => self::any_of(&any_of, separator.as_ref(), negative.as_ref()),
        (Some(_), _, Some(any_of)) | (_, Some(_), Some(any_of)) => any_of.refuse(
            "target.any_of stands beside target.positive or target.one_vs_rest",
            "keep any_of where a row may have several labels, else the other",
        ),
        (positive, rest, None) => {
            if let Some(separator) = &separator {
                separator.wrong(
                    "target.separator stands without target.any_of",
                    "leave it out, or name the labels that may stand together with any_of",
                );
            }
            match (positive, rest) {
                (Some(positive), None) => binary(&positive, negative.as_ref()),
                (None, Some(rest)) => one_vs_rest(&rest, negative.as_ref()),
                (Some(_), Some(rest)) => rest.refuse(
                    "target.one_vs_rest stands beside target.positive",
                    "keep positive for two classes, or one_vs_rest for three and more",
                ),
                (None, None) => table.required("positive").and(None),
            }
        }
    };
    let second_reader = table.or("second_reader", SecondReader::None, |value| {
        let second = column(value)?;
        if name.as_ref() == Some(&second) {
            let what = "target.second_reader is the target's own column";
            return value.refuse(what, "name the column with the second reader's labels");
        }
        Some(SecondReader::Column(second))
    });
    Some(Target { column: name?, classes: classes?, second_reader: second_reader? })
}

fn binary(positive: &Value<'_>, negative: Option<&Value<'_>>) -> Option<Classes> {
    let labels = positive.words(1..=MOST);
    let negative = self::negative(negative, labels.as_deref(), "is positive as well");
    Some(Classes::Binary { positive: labels?, negative: negative? })
}

fn one_vs_rest(rest: &Value<'_>, negative: Option<&Value<'_>>) -> Option<Classes> {
    if let Some(negative) = negative {
        negative.wrong(
            "target.negative stands beside target.one_vs_rest",
            "leave it out: each label is judged against the others",
        );
    }
    rest.words(3..=MOST).map(|labels| Classes::OneVsRest { labels })
}

fn any_of(
    labels: &Value<'_>,
    separator: Option<&Value<'_>>,
    negative: Option<&Value<'_>>,
) -> Option<Classes> {
    let separator = separator.map_or(Some("|".to_owned()), |value| value.text(1..=8));
    let among = labels.words(2..=MOST_LABELS);
    if let (Some(separator), Some(words)) = (&separator, &among)
        && let Some(parted) = words.iter().find(|label| label.contains(separator))
    {
        return labels.refuse(
            format!("the label '{parted}' has the separator '{separator}' in it"),
            "name labels one by one, or another separator",
        );
    }
    let negative = self::negative(negative, among.as_deref(), "is one of any_of as well");
    Some(Classes::AnyOf { labels: among?, separator: separator?, negative: negative? })
}

/// What else a cell may say; left out, anything.
fn negative(value: Option<&Value<'_>>, others: Option<&[String]>, both: &str) -> Option<Negative> {
    let Some(value) = value else { return Some(Negative::Rest) };
    let labels = value.distinct(1..=MOST, |entry| {
        let label = entry.word(1..=200)?;
        if others.is_some_and(|others| others.contains(&label)) {
            let what = format!("{} {both}", entry.name());
            return entry.refuse(what, "keep the label in one of the two lists");
        }
        Some(label)
    });
    labels.map(Negative::Labels)
}
