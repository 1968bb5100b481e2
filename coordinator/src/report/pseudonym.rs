//! A copy of a report for readers outside the consortium, in which no site has its name.
//!
//! Names are replaced in every text, not in a list of fields, so that a field that comes later is covered as well; only
//! words of the format itself ([`SCHEMA`]) stay, and a site that is called like one is replaced where a site is meant.
//! Every list of sites is put into the order of the numbers, since the report's own order is the alphabet's.

use std::collections::BTreeSet;

use serde_json::Value;
use wardround_core::digest::Digest;
use wardround_core::ids::SiteId;
use wardround_learn::findings::TreeCounts;

use super::ReadError;
use super::edition::{Edition, ShownDigest};
use super::joining::{MatrixModels, MatrixSection, TrainedOn};
use super::model::Report;
use super::schema::SCHEMA;
use super::shortcuts::ShiftSection;

/// Fields that hold a site's id and nothing else.
const SITE_FIELDS: [&str; 4] = ["site", "sites", "lost", "judged_at"];

/// Lists of nothing but sites; the last one is the study file's.
const SITE_LISTS: [&str; 3] = ["sites", "judged_at", "named"];

/// Fields by which an entry of a list says of which site it is.
const SAYING_SITES: [&str; 3] = ["site", "of", "model"];

/// What stands where a copy has no text.
const LEFT_OUT: &str = "left out";

/// See [`Report::with_sites_pseudonymised`].
pub(super) fn pseudonymised(report: &Report) -> Result<Report, ReadError> {
    let names = Names::deal(report);
    let closed = closed_words();
    let mut value = serde_json::to_value(report)?;
    names.replace(&mut value, "", &closed);
    let before: Vec<Option<usize>> =
        report.cohort.sites.iter().map(|row| names.dealt(&row.site)).collect();
    let mut order: Vec<usize> = (0..before.len()).collect();
    order.sort_by_key(|&at| before[at]);
    sort_lists(&mut value, "", &names);
    let mut copy: Report = serde_json::from_value(value)?;
    put_in_order(&mut copy, &names, &order);
    leave_out(&mut copy);
    copy.edition = Edition::PseudonymisedSites;
    Ok(copy)
}

/// Words of at least four letters of the sites' ids that are left in a copy's statements, with the statement's key.
pub(super) fn hints(report: &Report, copy: &Report) -> Vec<(String, String)> {
    let sites = sites(report);
    let parts = sites.iter().flat_map(|site| site.as_str().split(['-', '_', '.']));
    let parts: BTreeSet<&str> = parts.filter(|part| part.chars().count() >= 4).collect();
    let mut found = Vec::new();
    for statement in &copy.statements.written {
        let text = statement.text.to_lowercase();
        let words: BTreeSet<&str> = text.split(|c: char| !c.is_alphanumeric()).collect();
        let left = words.intersection(&parts).filter(|word| **word != "site");
        found.extend(left.map(|word| (statement.field.clone(), (*word).to_owned())));
    }
    found
}

/// The sites' pseudonyms.
struct Names {
    /// Old names, the longest first, with the number of the new one.
    old: Vec<(String, usize)>,
    /// New names by number.
    new: Vec<String>,
}

impl Names {
    /// Deals the numbers by digests of the study file and of the sites' frozen cohorts: they follow no alphabet, are
    /// the same for every copy, and can't be recomputed from a copy, which has neither.
    fn deal(report: &Report) -> Self {
        let key = |site: &SiteId| {
            let of_site = report.cohort.sites.iter().find(|one| one.site == *site);
            let lock = of_site.map_or(String::new(), |one| one.lock.to_string());
            let study = report.study.digest.to_string();
            Digest::of_parts([study.as_bytes(), lock.as_bytes(), site.as_str().as_bytes()])
        };
        let mut sites: Vec<SiteId> = sites(report).into_iter().collect();
        sites.sort_by_cached_key(key);
        let word = free_word(&sites);
        let new = (1..=sites.len()).map(|number| format!("{word}-{number}")).collect();
        let mut old: Vec<(String, usize)> = sites.into_iter().map(String::from).zip(0..).collect();
        old.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        Self { old, new }
    }

    /// The number of the new name in a text, and the text without it.
    fn mentioned(&self, text: &str) -> Option<(usize, String)> {
        let number = text.split(' ').find_map(|word| self.number(word))?;
        Some((number, text.replace(&self.new[number], "")))
    }

    /// The number of a new name.
    fn number(&self, site: &str) -> Option<usize> {
        self.new.iter().position(|name| name == site)
    }

    /// The number that was dealt to an old name.
    fn dealt(&self, site: &SiteId) -> Option<usize> {
        self.old.iter().find(|(name, _)| name == site.as_str()).map(|(_, number)| *number)
    }

    /// Every old name in a value, which stands in a field of this name.
    fn replace(&self, value: &mut Value, field: &str, closed: &BTreeSet<String>) {
        match value {
            Value::String(text) if SITE_FIELDS.contains(&field) || !closed.contains(text) => {
                *text = self.in_text(text);
            }
            Value::Array(items) => {
                items.iter_mut().for_each(|item| self.replace(item, field, closed));
            }
            Value::Object(fields) => {
                // A grid point has no words but the format's.
                for (name, value) in fields.iter_mut().filter(|(name, _)| *name != "point") {
                    // Nobody parses the study file's words again.
                    let open = BTreeSet::new();
                    let closed = if name == "parsed" { &open } else { closed };
                    self.replace(value, name, closed);
                }
            }
            _ => {}
        }
    }

    /// A text with every old name replaced that stands in it as a word, also in capitals or with blanks; names that are
    /// listed one after another are put in order.
    fn in_text(&self, text: &str) -> String {
        let chars: Vec<char> = text.chars().collect();
        // What stands before each site, and behind the last one.
        let (mut around, mut sites) = (vec![String::new()], Vec::new());
        let mut at = 0;
        while at < chars.len() {
            let begins = at == 0 || !chars[at - 1].is_alphanumeric();
            match self.old.iter().find(|(name, _)| begins && is_at(name, &chars[at..])) {
                Some((name, number)) => {
                    sites.push(*number);
                    around.push(String::new());
                    at += name.len();
                }
                None => {
                    around[sites.len()].push(chars[at]);
                    at += 1;
                }
            }
        }
        let mut first = 0;
        for next in 1..=sites.len() {
            if around[next] != ", " {
                sites[first..next].sort_unstable();
                first = next;
            }
        }
        let mut words = around.remove(0);
        for (site, behind) in sites.into_iter().zip(around) {
            words.push_str(&self.new[site]);
            words.push_str(&behind);
        }
        words
    }
}

/// Whether a text begins with a name as a word; an id's dashes may be blanks.
fn is_at(name: &str, text: &[char]) -> bool {
    let same = |(a, b): (char, &char)| {
        let dash = |c: char| matches!(c, '-' | '_' | ' ');
        a == b.to_ascii_lowercase() || dash(a) && dash(*b)
    };
    text.len() >= name.len()
        && name.chars().zip(text).all(same)
        && !text.get(name.len()).is_some_and(|next| next.is_alphanumeric())
}

/// A word for pseudonyms that no site's name begins with.
fn free_word(sites: &[SiteId]) -> String {
    let mut word = "site".to_owned();
    while sites.iter().any(|site| site.as_str().starts_with(&format!("{word}-"))) {
        word.insert_str(0, "the-");
    }
    word
}

/// Every site that the report knows of.
fn sites(report: &Report) -> BTreeSet<SiteId> {
    let of_attempts = report.attempts.iter().flat_map(|one| one.sites.iter().chain([&one.lost]));
    let in_it = report.cohort.sites.iter().map(|one| &one.site);
    let named = report.study.parsed.pointer("/cohort/sites/named").and_then(Value::as_array);
    let named = named.into_iter().flatten().filter_map(Value::as_str);
    let named = named.filter_map(|name| SiteId::parse(name).ok());
    let trained = report.evaluation.sites();
    in_it.chain(of_attempts).chain(trained).cloned().chain(named).collect()
}

/// The format's own words: every text that the schema takes and no other.
fn closed_words() -> BTreeSet<String> {
    fn add(value: &Value, words: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| add(item, words)),
            Value::Object(fields) => {
                for (name, value) in fields {
                    match (name.as_str(), value) {
                        ("const", Value::String(word)) => drop(words.insert(word.clone())),
                        ("enum", Value::Array(all)) => {
                            words.extend(all.iter().filter_map(Value::as_str).map(str::to_owned));
                        }
                        _ => add(value, words),
                    }
                }
            }
            _ => {}
        }
    }
    let schema = serde_json::from_str(SCHEMA).expect("the schema is JSON, which a test reads");
    let mut words = BTreeSet::new();
    add(&schema, &mut words);
    words
}

/// Puts what has an entry per site without naming it into the order of the numbers;
/// `order` says at which places the sites were before.
fn put_in_order(report: &mut Report, names: &Names, order: &[usize]) {
    if let MatrixSection::Asked { classes, .. } = &mut report.matrix {
        for class in classes {
            for row in &mut class.rows {
                if let MatrixModels::Judged { auc } = &mut row.models {
                    reorder(auc, order);
                }
            }
            class.rows.sort_by_key(|row| match &row.trained_on {
                TrainedOn::Site { site } => names.number(site.as_str()),
                TrainedOn::AllSites | TrainedOn::OtherSites => Some(usize::MAX),
            });
        }
    }
    if let ShiftSection::Known { pairs, .. } = &mut report.shift {
        // The rows name their sites and are in order.
        pairs.iter_mut().for_each(|row| reorder(&mut row.distances, order));
    }
    for model in &mut report.models {
        if let TreeCounts::Stopped { points } = &mut model.trees {
            points.iter_mut().for_each(|point| reorder(&mut point.left_out, order));
        }
    }
}

/// Takes items in this order, where there is one for each site.
fn reorder<T: Clone>(items: &mut Vec<T>, order: &[usize]) {
    if items.len() == order.len() {
        *items = order.iter().map(|&at| items[at].clone()).collect();
    }
}

/// Sorts every list of sites, and neighbours in a list that say their site, or say the same of their sites.
fn sort_lists(value: &mut Value, field: &str, names: &Names) {
    match value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| sort_lists(item, "", names));
            let of = |item: &Value| match item.as_str() {
                // Other lists of words are in the order of what belongs to them.
                Some(text) if SITE_LISTS.contains(&field) => names.mentioned(text),
                Some(_) => None,
                None => SAYING_SITES.iter().find_map(|&name| names.mentioned(item[name].as_str()?)),
            };
            let is_alike = |a: &Value, b: &Value| match (of(a), of(b)) {
                (Some((_, a)), Some((_, b))) => a == b,
                _ => false,
            };
            for run in items.chunk_by_mut(is_alike) {
                run.sort_by_key(|item| of(item).map(|(number, _)| number));
            }
        }
        Value::Object(fields) => {
            fields.iter_mut().for_each(|(name, value)| sort_lists(value, name, names));
        }
        _ => {}
    }
}

/// Leaves out what tells a site without naming it. The digests that go are of texts with the sites' names in them, and
/// most of those texts can be guessed but for the names; those that stay are of weights alone.
fn leave_out(report: &mut Report) {
    report.study.digest = ShownDigest::LEFT_OUT;
    if let Some(digest) = report.study.parsed.get_mut("digest") {
        *digest = LEFT_OUT.into();
    }
    if let Some(digest) = report.study.parsed.pointer_mut("/kind/model") {
        *digest = LEFT_OUT.into();
    }
    report.evaluation.leave_out();
    for site in &mut report.cohort.sites {
        site.lock = ShownDigest::LEFT_OUT;
        site.device = LEFT_OUT.to_owned();
    }
    for round in &mut report.rounds.rounds {
        round.query = ShownDigest::LEFT_OUT;
    }
    report.digests.bundle = ShownDigest::LEFT_OUT;
    report.digests.journal_head = ShownDigest::LEFT_OUT;
    report.digests.reports.clear();
}
