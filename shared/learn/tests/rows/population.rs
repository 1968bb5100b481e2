//! A random population that can be split into sites in any way.

use std::sync::Arc;

use wardround_core::class_set::ClassSet;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::query::{
    Ask, FoldPlan, Frame, JudgedUnit, Labelling, Query, Schema, Weighting,
};
use wardround_core::seed::Seed;
use wardround_learn::rows::{Patient, Rows, RowsBuilder, Storage};

/// Features of every row.
pub const FEATURES: usize = 11;

/// What every row looks like: three classes, two subgroup columns.
pub fn schema() -> Schema {
    Schema {
        features: FEATURES as u32,
        classes: 3,
        labelling: Labelling::Single,
        weighting: Weighting::Equal,
        judged: JudgedUnit::Row,
        levels: vec![3, 2],
    }
}

/// A frame that moves and scales.
pub fn frame() -> Arc<Frame> {
    let column = |k: usize| (0.1 * k as f64 - 0.4, 0.5 + 0.25 * k as f64);
    let (center, scale) = (0..FEATURES).map(column).unzip();
    Arc::new(Frame { center, scale })
}

/// Sites by name.
pub fn sites(names: &[&str]) -> Vec<SiteId> {
    names.iter().map(|name| SiteId::parse(name).unwrap()).collect()
}

/// A query of 4 folds in 2 repeats.
pub fn query(sites: Vec<SiteId>, ask: Ask) -> Query {
    Query {
        study: StudyId::parse("rows").unwrap(),
        sites,
        schema: schema(),
        input: 0,
        folds: FoldPlan { seed: Seed(99), folds: 4, repeats: 2 },
        ask,
    }
}

/// Rows of a patient: class, levels, features.
type PatientRows = Vec<(u8, [u8; 2], Vec<f64>)>;

/// Patients with one to four rows; about one feature in twenty is missing.
pub struct Population {
    patients: Vec<(String, PatientRows)>,
}

impl Population {
    /// Draws so many patients.
    pub fn draw(seed: u64, count: usize) -> Self {
        let uniform = |purpose: &str, parts: &[usize]| {
            let parts: Vec<[u8; 8]> = parts.iter().map(|part| part.to_le_bytes()).collect();
            let parts: Vec<&[u8]> = parts.iter().map(|part| &part[..]).collect();
            Seed(seed).uniform(purpose, &parts)
        };
        let row = |patient: usize, row: usize| {
            let class = (3.0 * uniform("class", &[patient, row]).powi(2)) as u8;
            let levels = [
                (3.0 * uniform("age", &[patient, row])) as u8,
                (2.0 * uniform("sex", &[patient])) as u8,
            ];
            let feature = |k: usize| {
                if uniform("missing", &[patient, row, k]) < 0.05 {
                    f64::NAN
                } else {
                    4.0 * uniform("feature", &[patient, row, k]) - 2.0 + f64::from(class) * 0.3
                }
            };
            (class, levels, (0..FEATURES).map(feature).collect())
        };
        let patient = |at: usize| {
            let rows = 1 + (4.0 * uniform("rows", &[at]).powi(3)) as usize;
            (format!("p{at}"), (0..rows).map(|r| row(at, r)).collect())
        };
        Self { patients: (0..count).map(patient).collect() }
    }

    /// Puts the patients into another order.
    pub fn shuffle(&mut self, seed: u64) {
        self.patients.sort_by_key(|(key, _)| Seed(seed).bits("shuffle", &[key.as_bytes()]));
    }

    /// Rounds features to 32 bits, as a backbone's are.
    pub fn single(&mut self) {
        let rows = self.patients.iter_mut().flat_map(|(_, rows)| rows);
        rows.flat_map(|(.., features)| features).for_each(|x| *x = f64::from(*x as f32));
    }

    /// Splits the patients into up to `count` sites.
    pub fn rows(&self, count: usize, seed: u64) -> Rows {
        self.rows_of(schema(), count, seed, |class, _| ClassSet::only(class), |_| (1, 1.0))
    }

    /// The same with other classes, made of a row's class and first feature, and each row so many times with
    /// a weight, made of its second feature.
    pub fn rows_of(
        &self,
        schema: Schema,
        count: usize,
        seed: u64,
        classes: impl Fn(u8, f64) -> ClassSet,
        counts: impl Fn(f64) -> (usize, f64),
    ) -> Rows {
        self.build(RowsBuilder::new(schema), 0, count, seed, classes, counts)
    }

    /// The same with so many altered copies of each row, kept somewhere; their weights, if they have any, are
    /// made of their second feature.
    pub fn kept(
        &self,
        schema: Schema,
        count: usize,
        seed: u64,
        copies: usize,
        storage: Storage,
    ) -> Rows {
        let weighting = schema.weighting;
        let weight = |x: f64| match weighting {
            Weighting::Given if !x.is_nan() => (x + 1.0).abs(),
            Weighting::Given | Weighting::Equal => 1.0,
        };
        let builder = RowsBuilder::with_copies(schema, copies).kept(storage);
        let classes = |class, _| ClassSet::only(class);
        self.build(builder, copies, count, seed, classes, |x| (1, weight(x)))
    }

    fn build(
        &self,
        mut builder: RowsBuilder,
        copies: usize,
        count: usize,
        seed: u64,
        classes: impl Fn(u8, f64) -> ClassSet,
        counts: impl Fn(f64) -> (usize, f64),
    ) -> Rows {
        for (key, rows) in &self.patients {
            let site = Seed(seed).bits("site", &[key.as_bytes()]) % count as u64;
            let patient = Patient {
                site: SiteId::parse(&format!("site{site}")).unwrap(),
                issuer: "clinic".to_owned(),
                key: key.clone(),
            };
            for (at, (class, levels, features)) in rows.iter().enumerate() {
                let classes = classes(*class, features[0]);
                let moved = |copy: usize| {
                    let complete = features.iter().map(|x| if x.is_nan() { 0.5 } else { *x });
                    complete.map(move |x| x as f32 + 0.125 * copy as f32)
                };
                let of_row: Vec<f32> = (0..copies).flat_map(moved).collect();
                let (times, weight) = counts(features[1]);
                for _ in 0..times {
                    builder.add(patient.clone(), classes, levels, features).unwrap();
                    builder.weigh(weight);
                    builder.of_exam(&format!("e{}", at % 2));
                    builder.add_copies(&of_row).unwrap();
                }
            }
        }
        builder.build().unwrap()
    }
}
