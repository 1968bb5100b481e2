//! A commented study file made from a manifest's header, for `wardround study new`.
//!
//! What is predicted, whose rows belong together and what the features are is guessed from the
//! columns' names and values. Every guess is marked as one in the file, with what was seen, so that
//! a lead corrects it instead of starting from an empty page. The file always parses.

mod guess;

use std::fmt::Write;

use crate::read::quoted;

use guess::{Guess, Label};

/// What is known of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its columns.
    pub columns: Vec<HeaderColumn>,
}

/// A column of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// Its name.
    pub name: String,
    /// Its distinct values with counts, most frequent first; empty when only the header was read or
    /// there are too many.
    pub values: Vec<(String, usize)>,
}

/// Writes the file.
pub fn template(header: &Header) -> String {
    let guess = Guess::of(header);
    let mut file = String::new();
    for part in [
        opening(header),
        target(&guess),
        cohort(),
        patient(&guess),
        subgroups(&guess),
        input(&guess),
        classifier(),
        validation(),
        federation(),
    ] {
        let newline = if file.is_empty() { "" } else { "\n" };
        file.push_str(newline);
        file.push_str(&part);
    }
    file
}

fn opening(header: &Header) -> String {
    let columns: Vec<String> = header.columns.iter().map(|c| comment(&c.name)).collect();
    format!(
        "# A study of Wardround. Lines marked GUESS were guessed from the manifest's columns: check\n\
         # them. Columns seen: {}\n\
         format = 1\n\
         # What people call the study.\n\
         name = \"New study\"\n\
         # Deals the folds. Any whole number; the same number gives the same folds.\n\
         seed = 1\n",
        columns.join(", ")
    )
}

fn target(guess: &Guess) -> String {
    let mut part = format!(
        "# What is predicted.\n[target]\n# GUESS: the column with the label.\ncolumn = {}\n",
        quoted(&guess.target)
    );
    match &guess.label {
        Label::Seen { positive, negative } => {
            part.push_str("# GUESS: the labels that count as positive.\n");
            let _ = writeln!(part, "positive = {}", list(positive));
            match negative.as_slice() {
                [] => part.push_str("# Optional: negative = [...]; without it all others are.\n"),
                _ => {
                    part.push_str(
                        "# Labels that count as negative; a row with any other label is set aside.\n\
                         # Leave the line out if every label that isn't positive is negative.\n",
                    );
                    let _ = writeln!(part, "negative = {}", list(negative));
                }
            }
            let all: Vec<String> = positive.iter().chain(negative).cloned().collect();
            if all.len() >= 3 {
                part.push_str("# Or each label against the others, instead of the lines above:\n");
                let _ = writeln!(part, "# one_vs_rest = {}", list(&all));
                part.push_str(
                    "# Or, where a cell may name several, each against the rows without it:\n",
                );
                let _ = writeln!(part, "# any_of = {}\n# separator = \"|\"", list(&all));
            }
        }
        Label::Unseen => {
            part.push_str(
                "# GUESS: the labels that count as positive; no values were seen.\n\
                 positive = [\"1\"]\n\
                 # Optional: negative = [...]; without it all others are.\n\
                 # Or each label against the others: one_vs_rest = [\"a\", \"b\", \"c\"]\n\
                 # Or several labels in a cell, as 'a|b': any_of = [\"a\", \"b\"]\n",
            );
        }
    }
    part.push_str(
        "# How far a second reader agrees (Cohen's kappa), by a column of labels: second_reader = \"label_2\"\n",
    );
    part
}

fn cohort() -> String {
    "# Who is in the study. Left out: every enrolled site, every row.\n\
     # [cohort]\n\
     # sites = [\"a\", \"b\"]\n\
     # filters = [{ column = \"view\", keep = [\"PA\"] }, { column = \"age\", min = 18, max = 90 }]\n\
     # How much each row counts in what models are fitted to, from 0 to 100; judging never weighs.\n\
     # weight = \"sampling_weight\"\n"
        .to_owned()
}

fn patient(guess: &Guess) -> String {
    let mut part = "# Whose rows belong together: all rows of one key fall into the same fold.\n\
                    [patient]\n"
        .to_owned();
    match &guess.key {
        Some(key) => {
            part.push_str("# GUESS: the column with the key; read as text, so 007 stays 007.\n");
            let _ = writeln!(part, "key = {}", quoted(key));
        }
        None => {
            part.push_str(
                "# GUESS: no column looks like a patient key, so every row counts as a patient of\n\
                 # its own. Where a patient has several rows this makes results look too good.\n",
            );
            let _ = writeln!(part, "key = {}", quoted(&guess.row_key));
        }
    }
    part.push_str("# What a key names, for reports.\n");
    let _ = writeln!(part, "unit = {}", quoted(&guess.unit));
    part
}

fn subgroups(guess: &Guess) -> String {
    let mut part = "# Results are shown for these groups as well. `values` takes texts, `bands` cuts\n\
                    # a number: [0, 40) and so on, the last band is open. Anything else is unknown.\n"
        .to_owned();
    match &guess.sex {
        Some((column, values)) => {
            part.push_str("# GUESS: the values.\n[subgroups.sex]\n");
            let _ = writeln!(part, "column = {}\nvalues = {}", quoted(column), list(values));
        }
        None => part.push_str("# [subgroups.sex]\n# values = [\"female\", \"male\"]\n"),
    }
    match &guess.age {
        Some(column) => {
            part.push_str("# GUESS: the bands.\n[subgroups.age]\n");
            let _ = writeln!(part, "column = {}\nbands = [0, 40, 60, 75]", quoted(column));
        }
        None => part.push_str("# [subgroups.age]\n# bands = [0, 40, 60, 75]\n"),
    }
    part.push_str(
        "# Groups are also judged at each site, and where two columns meet; what is too small is said to be so.\n",
    );
    part.push_str(match (&guess.sex, &guess.age) {
        (None, None) => "# [fairness]\n# by_site = true\n# intersections = [[\"sex\", \"age\"]]\n",
        (Some(_), Some(_)) => "[fairness]\nby_site = true\nintersections = [[\"sex\", \"age\"]]\n",
        _ => "[fairness]\nby_site = true\n# intersections = [[\"sex\", \"age\"]]\n",
    });
    part
}

fn input(guess: &Guess) -> String {
    if let Some(column) = &guess.path {
        return format!(
            "# Features come from images through a pretrained network.\n\
             [images]\n\
             # GUESS: the column with the image's path.\n\
             column = {}\n\
             # One of `wardround-site backbones`.\n\
             backbone = \"efficientnet_lite0\"\n\
             # Left out: the network's own weights and preparation, as the software ships them.\n\
             # weights = \"file:weights.safetensors\"\n\
             # sha256 = \"...\"\n\
             # preprocess = {{ shorter_side = 256, crop = 224, mean = [0.485, 0.456, 0.406], \
             std = [0.229, 0.224, 0.225] }}\n\
             # How exactly the network computes: \"f32\", or \"bf16\", which is faster on some machines.\n\
             # precision = \"f32\"\n\
             # Altered copies of each image to fit to, and views of an image to average when the model is used.\n\
             # [augmentation]\n\
             # copies = 4\n\
             # views = 1\n\
             # rotation = 15\n\
             # scale = [0.7, 1.0]\n\
             # flip = true\n\
             # brightness = 0.1\n\
             # contrast = 0.1\n",
            quoted(column)
        );
    }
    let mut part = "# Features are columns of the manifest (no column of image paths was seen).\n\
                    [table]\n\
                    # GUESS: columns taken as numbers.\n"
        .to_owned();
    let _ = writeln!(part, "numeric = {}", list(&guess.numeric));
    part.push_str("# GUESS: columns taken as one feature per listed value.\n");
    if guess.categorical.is_empty() {
        part.push_str("# categorical = { cp = [\"1\", \"2\", \"3\", \"4\"] }\n");
    } else {
        part.push_str("[table.categorical]\n");
        for (column, values) in &guess.categorical {
            let _ = writeln!(part, "{} = {}", quoted_key(column), list(values));
        }
    }
    // A key of [table] can't follow [table.categorical], so `missing` goes before it.
    let missing = "# Rows with a missing value: \"drop\" sets them aside, \"impute\" puts in the \
                   training rows' mean.\nmissing = \"drop\"\n";
    part.replacen(
        "# GUESS: columns taken as one",
        &format!("{missing}# GUESS: columns taken as one"),
        1,
    )
}

fn classifier() -> String {
    "# What is fitted: logistic regression (\"logistic\") or a support vector machine (\"linear-svm\")\n\
     # with a penalty; smaller C, stronger penalty. Several values make a grid, chosen from by\n\
     # cross-validation. With l1_ratio = [0.0, 0.5, 1.0] logistic regression drops features;\n\
     # with multi_class = \"multinomial\" it is one model of three classes or more.\n\
     # Others: \"rbf-svm\" with c = [0.1] and gamma = [0.3, 1.0], \"ridge\" with\n\
     # alpha = [1.0], \"lda\" with shrinkage = [0.1], \"nearest-mean\"; trees: \"forest\" with\n\
     # trees = [300], \"boosting\" with trees = [100] or trees = [1000] and early_stopping = 20;\n\
     # \"bagged-forest\": one round, but each tree of one site, which owners have to allow (own_model).\n\
     # Many features make trees costly: reduce = [\"univariate:128\"] keeps the 128 that tell the\n\
     # classes apart best, \"variance:128\" those of largest variance, \"pca:64\" makes 64 principal\n\
     # components (not for trees or \"rbf-svm\"); always from training folds only.\n\
     # Where mode = \"feature-rows\" below also \"kernel-svm\" with c = [1.0], whose models hold rows of patients.\n\
     # Write [[classifier]] once for each of several to compare them (and [[backbone]] likewise);\n\
     # [[ensemble]] with kind = \"soft-vote\" or \"stacking\" puts their scores together.\n\
     # `wardround study plan` says what a study costs.\n\
     [classifier]\n\
     kind = \"logistic\"\n\
     c = [0.001, 0.003, 0.01, 0.03, 0.1]\n\
     # Features are standardised over all sites (\"all\"), at each site (\"site\"), or at each site as far as it\n\
     # differs by more than is usual (\"combat\"); several make a grid.\n\
     standardise = [\"all\"]\n\
     # Of a rare class: \"weights\", \"over-sampling\" or \"smote\" make it count as much as the others. Scores\n\
     # rank about the same, and the probabilities are too large; [[classifier]] shows each by itself.\n\
     balance = [\"none\"]\n"
        .to_owned()
}

fn validation() -> String {
    "# How results are checked.\n\
     [validation]\n\
     folds = 5\n\
     # Independent deals of the folds.\n\
     repeats = 1\n\
     # Every site once left out and predicted by the others; needs each owner's consent.\n\
     leave_one_site_out = false\n\
     # What is judged: \"image\" (each row), or all images of an \"exam\" (exam = \"...\" under [patient] names\n\
     # the exams' column) or of a \"patient\" together, by the mean of their probabilities or the largest\n\
     # (combine = \"max\"). Models are fitted to images in any case.\n\
     judge = \"image\"\n\
     # Which AUC chooses from the grid: \"within-sites\" compares patients of one site only,\n\
     # \"one-list\" all patients in one list.\n\
     choose_by = \"within-sites\"\n\
     # The best grid point, or \"one-standard-error\": the simplest that is about as good.\n\
     choose = \"best\"\n\
     # Every grid point, or some of them, drawn by the seed: search = { random = 20 }; or a race, in\n\
     # which one of three goes on to more folds: search = { halving = 3 }, of some: both.\n\
     search = \"grid\"\n\
     # From which probability a case is called positive, chosen on scores of cases that had no part in\n\
     # the model: \"youden\", or { sensitivity = 0.9 }, { specificity = 0.9 }, or { miss_cost = 10 }: least\n\
     # cost where a miss costs as much as ten false alarms.\n\
     threshold = \"youden\"\n\
     # How often patients are drawn again, for the intervals of all figures and to tell gaps between\n\
     # subgroups from chance; false for neither.\n\
     bootstrap = 1000\n\
     # What a hospital gains: each site fits the classifier to its own patients too, locally, and the\n\
     # report sets that beside the federated model on the same patients.\n\
     own_site_baseline = false\n\
     # Models of single sites judged at every site; of sites whose owners set own_model = \"allowed\".\n\
     matrix = false\n\
     # Whether the model's bundle can say how unlike an image is to those it was fitted to; asks each site for\n\
     # cross products of all features, as \"lda\" and \"ridge\" do.\n\
     outliers = false\n\
     # Which recalibrated probability stands beside the model's own when it is used: \"off\", \"platt\",\n\
     # \"temperature\"; the report compares them.\n\
     recalibrate = \"off\"\n\
     # Shortcuts: how well features tell a case's site and subgroups, and whether the score follows them\n\
     # among cases of one class. About as many rounds as one more grid point.\n\
     shortcuts = true\n\
     # Would more patients help? The chosen model, fitted to a quarter, a half and three quarters of them\n\
     # as well; about as many rounds as one more grid point.\n\
     learning_curve = true\n\
     # With one_vs_rest: a table of classes by the class with the largest probability.\n\
     # confusion = true\n"
        .to_owned()
}

fn federation() -> String {
    "# How the sites work together.\n\
     [federation]\n\
     # How many sites a fit needs: \"all\" or a number.\n\
     quorum = \"all\"\n\
     # When a site doesn't come back: \"wait\" for it, or \"restart\" the fit without it.\n\
     on_site_lost = \"wait\"\n\
     # Seconds without progress after which a site counts as lost.\n\
     patience_s = 3600\n\
     # What leaves a site: \"sums\", or \"feature-rows\": the rows of features themselves, which needs each\n\
     # owner's consent by name.\n\
     mode = \"sums\"\n"
        .to_owned()
}

fn list(texts: &[String]) -> String {
    let quoted: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", quoted.join(", "))
}

/// A key as a file spells it: bare where it may be.
fn quoted_key(key: &str) -> String {
    let bare = key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if bare && !key.is_empty() { key.to_owned() } else { quoted(key) }
}

/// A text that may stand in a comment.
fn comment(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests;
