//! What of a site's rows is judged ([`JudgedUnit`]): each row, or those of an exam or a patient together.

use wardround_core::class_set::ClassSet;
use wardround_core::query::{JudgedUnit, Schema, level_of_unit};

use super::site::SitePatient;

/// A site's units, in the order of their first rows. Those of a patient stand together.
#[derive(Debug)]
pub(super) struct Units {
    pub(super) judged: JudgedUnit,
    /// The unit of each row.
    pub(super) of_row: Vec<usize>,
    /// The first row of each unit.
    pub(super) first_row: Vec<usize>,
    /// How many rows each unit has.
    pub(super) rows: Vec<usize>,
    /// The classes of each unit.
    pub(super) classes: Vec<ClassSet>,
    /// Per subgroup column, the level of each unit.
    pub(super) levels: Vec<Vec<u8>>,
    /// Whether the rows of each unit differ in class.
    pub(super) mixed: Vec<bool>,
}

impl Units {
    /// Puts rows together. `exams` has a key per row, the same for rows of one exam of a patient.
    pub(super) fn new(
        schema: &Schema,
        patients: &[SitePatient],
        classes: &[ClassSet],
        levels: &[Vec<u8>],
        exams: &[&str],
    ) -> Self {
        let mut members: Vec<Vec<usize>> = Vec::new();
        let mut of_row = vec![0; classes.len()];
        for patient in patients {
            let before = members.len();
            for row in patient.rows.clone() {
                let mut of_patient = members[before..].iter();
                let known = match schema.judged {
                    JudgedUnit::Row => None,
                    JudgedUnit::Patient(_) => of_patient.next().map(|_| 0),
                    // Few exams per patient: looking back is faster than a map.
                    JudgedUnit::Exam(_) => of_patient.position(|rows| exams[rows[0]] == exams[row]),
                };
                let unit = before + known.unwrap_or(members.len() - before);
                match members.get_mut(unit) {
                    Some(rows) => rows.push(row),
                    None => members.push(vec![row]),
                }
                of_row[row] = unit;
            }
        }
        let class_of = |rows: &Vec<usize>| {
            let sets = rows.iter().map(|&row| classes[row]);
            schema.labelling.of_unit(schema.classes, sets)
        };
        let level_of = |(column, &levels_of_column): (&Vec<u8>, &u8)| {
            let unknown = levels_of_column.saturating_sub(1);
            let of_unit =
                |rows: &Vec<usize>| level_of_unit(rows.iter().map(|&row| column[row]), unknown);
            members.iter().map(of_unit).collect()
        };
        let differ = |rows: &Vec<usize>| rows.iter().any(|&row| classes[row] != classes[rows[0]]);
        Self {
            judged: schema.judged,
            of_row,
            first_row: members.iter().map(|rows| rows[0]).collect(),
            rows: members.iter().map(Vec::len).collect(),
            classes: members.iter().map(class_of).collect(),
            levels: levels.iter().zip(&schema.levels).map(level_of).collect(),
            mixed: members.iter().map(differ).collect(),
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.first_row.len()
    }

    /// The units of rows, which are those of whole units, with their logits.
    pub(super) fn scores(&self, rows: &[usize], logits: &[f64]) -> Vec<(usize, f64)> {
        let score = match self.judged {
            JudgedUnit::Row => return rows.iter().map(|&row| (row, logits[row])).collect(),
            JudgedUnit::Exam(score) | JudgedUnit::Patient(score) => score,
        };
        let mut of_units: Vec<(usize, f64)> =
            rows.iter().map(|&row| (self.of_row[row], logits[row])).collect();
        of_units.sort_by_key(|(unit, _)| *unit);
        let of_unit = |rows: &[(usize, f64)]| {
            let mut logits: Vec<f64> = rows.iter().map(|(_, logit)| *logit).collect();
            score.logit(&mut logits).map(|logit| (rows[0].0, logit))
        };
        of_units.chunk_by(|a, b| a.0 == b.0).filter_map(of_unit).collect()
    }
}
