//! Where the report answers what reporting guidelines ask for, and what only people can write ([`super::statements`]). Item
//! numbers are the checklists'; what an item asks is said in our words.

mod claim;
mod stard;
mod tripod;

use super::statements::Statements;

/// A reporting guideline's checklist.
#[derive(Debug, Clone, Copy)]
pub struct Checklist {
    /// What it is called, with its year.
    pub name: &'static str,
    /// Who made it, and where it stands.
    pub source: &'static str,
    /// Its items.
    pub items: &'static [Item],
}

/// An item of a checklist: its number, what it asks for, who answers it.
pub type Item = (&'static str, &'static str, By);

/// Who answers an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The report, in the section with this id, with what stands there.
    Report(&'static str, &'static str),
    /// The lead, in these statements, with a hint at what the report has for it; empty where it has nothing.
    Lead(&'static [&'static str], &'static str),
}

/// All of them.
pub const CHECKLISTS: [Checklist; 3] = [tripod::TRIPOD_AI, claim::CLAIM, stard::STARD_AI];

/// How many of a checklist's items are answered, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// By the report.
    pub by_report: usize,
    /// By statements, all that the item asks for.
    pub by_lead: usize,
    /// By nobody, or in part.
    pub open: usize,
}

impl Checklist {
    /// How many items are answered with these statements.
    pub fn answered(&self, statements: &Statements) -> Answered {
        let mut count = Answered { by_report: 0, by_lead: 0, open: 0 };
        for (_, _, by) in self.items {
            match by {
                By::Report(..) => count.by_report += 1,
                By::Lead(fields, _) if missing(fields, statements).is_empty() => count.by_lead += 1,
                By::Lead(..) => count.open += 1,
            }
        }
        count
    }
}

/// Which of these statements aren't written.
pub fn missing(fields: &[&'static str], statements: &Statements) -> Vec<&'static str> {
    fields.iter().copied().filter(|field| statements.get(field).is_none()).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::statements::STATEMENT_FIELDS;
    use super::*;

    /// What stands before the parts' letters.
    fn number(item: &str) -> u32 {
        item.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
    }

    #[test]
    fn every_item_of_every_checklist_stands_once() {
        for (checklist, last) in CHECKLISTS.iter().zip([27, 44, 40]) {
            let items: BTreeSet<&str> = checklist.items.iter().map(|(item, ..)| *item).collect();
            assert_eq!(items.len(), checklist.items.len(), "{}", checklist.name);
            let main: BTreeSet<u32> = items.iter().map(|item| number(item)).collect();
            assert_eq!(main, (1..=last).collect(), "{}", checklist.name);
            let order: Vec<u32> = checklist.items.iter().map(|(item, ..)| number(item)).collect();
            assert!(order.is_sorted(), "{}", checklist.name);
        }
    }

    #[test]
    fn items_point_to_sections_and_statements_that_there_are() {
        let known: BTreeSet<&str> = STATEMENT_FIELDS.iter().map(|field| field.key).collect();
        let mut asked = BTreeSet::new();
        for checklist in &CHECKLISTS {
            for (item, _, by) in checklist.items {
                match by {
                    By::Report(id, _) => {
                        let name = super::super::html::section_name(id);
                        assert!(!name.is_empty(), "{} {item}", checklist.name);
                    }
                    By::Lead(fields, _) => {
                        assert!(!fields.is_empty(), "{} {item}", checklist.name);
                        asked.extend(fields.iter().copied());
                    }
                }
            }
        }
        // What no checklist asks for is for the model card.
        let others: Vec<&str> = known.difference(&asked).copied().collect();
        assert_eq!(others, ["contact", "out_of_scope"]);
        assert!(asked.is_subset(&known));
    }

    #[test]
    fn an_item_is_answered_when_all_of_it_is_written() {
        let claim = &CHECKLISTS[1];
        let of = |file: &str| claim.answered(&Statements::read(file).unwrap());
        let none = of("");
        assert_eq!((none.by_lead, none.by_report + none.open), (0, claim.items.len()));
        // Item 43 asks for both.
        assert_eq!(of("data_availability = \"none\"").by_lead, 0);
        let both = of("data_availability = \"none\"\ncode_availability = \"all\"");
        assert_eq!((both.by_lead, both.open), (1, none.open - 1));
    }
}
