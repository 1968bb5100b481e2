//! What only people can write about a study: intended use, approvals, reference standard, funding and the like. They are
//! written when the study is over, so they aren't in the study file, which is pinned before it begins, but in a file of
//! their own (TOML) that is given to `wardround study report --statements`.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};
use wardround_core::read::{self, Key, Mistakes};

/// Most characters of one text.
const LONGEST: usize = 10_000;

/// A text that only people can write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementField {
    /// Its key in the file and in `report.json`.
    pub key: &'static str,
    /// What it is called.
    pub words: &'static str,
    /// What belongs into it, for the template.
    pub hint: &'static str,
}

const fn field(key: &'static str, words: &'static str, hint: &'static str) -> StatementField {
    StatementField { key, words, hint }
}

/// Every text, in the order in which they are shown.
pub const STATEMENT_FIELDS: &[StatementField] = &[
    field(
        "title",
        "title",
        "A title as a paper has it: that a model was developed or evaluated, for whom, for what.",
    ),
    field("abstract", "abstract", "Design, methods, results and conclusions in a paragraph."),
    field(
        "background",
        "background",
        "The clinical problem, models that exist, known inequalities between groups of people.",
    ),
    field(
        "intended_use",
        "intended use",
        "What the model is for, at which point of care, and on what it decides or advises.",
    ),
    field("intended_users", "intended users", "Who is to use it, and what they have to know."),
    field(
        "out_of_scope",
        "uses out of scope",
        "What it must not be used for, and patients it wasn't made for.",
    ),
    field(
        "objectives",
        "objectives",
        "Questions and hypotheses, and which of them were set before the data were seen.",
    ),
    field(
        "design",
        "design",
        "Whether data were gathered before or after the study was planned, and what the study is to show.",
    ),
    field("registration", "registration", "Registry and number, or that it isn't registered."),
    field("protocol", "protocol", "Where the full protocol can be had, and what departed from it."),
    field(
        "ethics",
        "ethics and approvals",
        "Committees and numbers, consent, or why none was needed; permissions for the data.",
    ),
    field(
        "setting",
        "setting",
        "Kind of care, how people came into question, in which order they were taken in; whether data were routine.",
    ),
    field("dates", "dates", "From when to when the data are, and how long people were followed."),
    field(
        "eligibility",
        "eligibility",
        "Who was taken in and who not, in the order in which that was asked, for people and for images.",
    ),
    field(
        "treatments",
        "treatments",
        "What people were treated with before, and how that was dealt with.",
    ),
    field(
        "acquisition",
        "acquisition",
        "Devices with maker and version, protocols, contrast; how other predictors were measured.",
    ),
    field(
        "deidentification",
        "de-identification",
        "What was taken out of images and headers, and by what means.",
    ),
    field(
        "reference_standard",
        "reference standard",
        "What counts as the truth, why that, with which cut-offs, how long before or after the image.",
    ),
    field(
        "annotators",
        "annotators",
        "Who labelled, with what experience and tools, what they knew, how far they agree and what was done where not.",
    ),
    field("sample_size", "sample size", "How many were planned for, and why that is enough."),
    field(
        "representativeness",
        "representativeness",
        "Severity of disease, what others had instead, and how far that is like where the model is to be used.",
    ),
    field(
        "external_data",
        "external data",
        "Judging on data of other places or times, and how these differ; or that there was none.",
    ),
    field(
        "failure_analysis",
        "failure analysis",
        "What the wrong cases have in common, as seen at the sites.",
    ),
    field(
        "explanations",
        "explanations",
        "What maps and other explanations showed, and how they were checked.",
    ),
    field(
        "adverse_events",
        "adverse events",
        "Harm by taking the image or by the reference standard, or that there was none.",
    ),
    field(
        "interpretation",
        "interpretation",
        "What the results mean beside earlier ones, fairness included.",
    ),
    field("limitations", "limitations", "Bias, uncertainty, how far the results carry."),
    field("harms", "ethical considerations", "Risks and harms that were considered, and for whom."),
    field(
        "next_steps",
        "implications and next steps",
        "What follows for practice, how poor input is dealt with, what should be looked at next.",
    ),
    field("funding", "funding", "Who paid, and what part they had in the study."),
    field("conflicts", "conflicts of interest", "Of every author; commercial interests."),
    field(
        "data_availability",
        "availability of data",
        "Where data can be had and on which conditions, or why not.",
    ),
    field(
        "code_availability",
        "availability of code and model",
        "Where code and model can be had, under which licence.",
    ),
    field(
        "involvement",
        "involvement of patients",
        "What part patients and the public had, or that they had none.",
    ),
    field(
        "contact",
        "contact",
        "Who develops the model, whom to ask, version, licence, how to cite it.",
    ),
];

/// What people wrote, and what they still have to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statements {
    /// What is written, in the order of [`STATEMENT_FIELDS`].
    pub written: Vec<Statement>,
    /// Keys of what isn't, in the same order.
    pub missing: Vec<String>,
}

/// One text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statement {
    /// Its key.
    pub field: String,
    /// The text, lines separated by line feeds.
    pub text: String,
}

impl Default for Statements {
    /// Nothing is written yet: what a coordinator's own report says.
    fn default() -> Self {
        Self::of(&|_| String::new())
    }
}

impl Statements {
    /// Reads the file. A text that isn't there, or is empty, is missing, which is no mistake.
    ///
    /// # Errors
    /// Every mistake: unknown keys, other values than texts, texts over 10,000 characters.
    pub fn read(text: &str) -> Result<Self, Mistakes> {
        static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
            STATEMENT_FIELDS.iter().map(|field| Key::value(field.key, "\"...\"")).collect()
        });
        read::file(text, &KEYS, |table| {
            let texts: Vec<Option<String>> = STATEMENT_FIELDS
                .iter()
                .map(|field| table.or(field.key, String::new(), |value| value.prose(LONGEST)))
                .collect();
            let texts: Vec<String> = texts.into_iter().collect::<Option<_>>()?;
            Some(Self::of(&|at| texts[at].clone()))
        })
    }

    fn of(text: &dyn Fn(usize) -> String) -> Self {
        let (mut written, mut missing) = (Vec::new(), Vec::new());
        for (at, field) in STATEMENT_FIELDS.iter().enumerate() {
            match text(at) {
                text if text.is_empty() => missing.push(field.key.to_owned()),
                text => written.push(Statement { field: field.key.to_owned(), text }),
            }
        }
        Self { written, missing }
    }

    /// What is written under a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.written.iter().find(|one| one.field == key).map(|one| one.text.as_str())
    }
}

impl Statement {
    /// What it is called.
    pub fn words(&self) -> &str {
        words_of(&self.field)
    }

    /// Its paragraphs: what blank lines part, each on one line.
    pub fn paragraphs(&self) -> Vec<String> {
        let blocks = self.text.split("\n\n");
        let blocks = blocks.map(|block| block.split_whitespace().collect::<Vec<_>>().join(" "));
        blocks.filter(|block| !block.is_empty()).collect()
    }
}

/// What a text is called.
pub fn words_of(key: &str) -> &str {
    STATEMENT_FIELDS.iter().find(|field| field.key == key).map_or(key, |field| field.words)
}

/// The file with every text empty, and what belongs into each.
pub fn statements_template() -> String {
    let mut file = String::from(
        "# What only people can write about a study, for: wardround study report ID --statements THIS-FILE\n\
         #\n\
         # Leave empty what isn't written yet: the report's checklists say what is missing. Several lines stand between\n\
         # three quotes; a blank line begins a paragraph. Don't name hospitals otherwise than by their ids if copies with\n\
         # pseudonyms are to be made: other names can't be found in a text.\n",
    );
    for field in STATEMENT_FIELDS {
        let _ = write!(file, "\n# {}\n{} = \"\"\n", field.hint, field.key);
    }
    file
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn keys_and_words_stand_once() {
        let keys: BTreeSet<&str> = STATEMENT_FIELDS.iter().map(|field| field.key).collect();
        let words: BTreeSet<&str> = STATEMENT_FIELDS.iter().map(|field| field.words).collect();
        assert_eq!((keys.len(), words.len()), (STATEMENT_FIELDS.len(), STATEMENT_FIELDS.len()));
    }

    #[test]
    fn the_template_is_read_as_nothing_written() {
        let template = statements_template();
        assert_eq!(Statements::read(&template).unwrap(), Statements::default());
        assert!(template.lines().all(|line| line.chars().count() <= 130));
        assert_eq!(Statements::read("").unwrap().missing.len(), STATEMENT_FIELDS.len());
    }

    #[test]
    fn texts_are_kept_in_order_with_their_paragraphs() {
        let file = "funding = \" A fund. \"\nlimitations = \"\"\"\nOne\nline.\n\nMore.\r\n\"\"\"\ntitle = \"  \"\n";
        let read = Statements::read(file).unwrap();
        let fields: Vec<&str> = read.written.iter().map(|one| one.field.as_str()).collect();
        assert_eq!(fields, ["limitations", "funding"]);
        assert_eq!(read.get("funding"), Some("A fund."));
        assert_eq!(read.written[0].paragraphs(), ["One line.", "More."]);
        assert!(read.missing.contains(&"title".to_owned()));
        assert_eq!(read.missing.len() + 2, STATEMENT_FIELDS.len());
    }

    #[test]
    fn every_mistake_is_found_with_its_line() {
        let file = "fundings = \"x\"\ntitle = 3\nethics = \"a\\u0007\"\n";
        let mistakes = Statements::read(file).unwrap_err();
        let lines: Vec<usize> = mistakes.0.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [1, 2, 3]);
        assert!(mistakes.to_string().contains("did you mean 'funding'?"), "{mistakes}");
        let long = format!("title = \"{}\"", "x".repeat(LONGEST + 1));
        assert!(Statements::read(&long).unwrap_err().to_string().contains("10001 characters"));
    }
}
