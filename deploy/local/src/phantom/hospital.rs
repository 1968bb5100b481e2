//! The hospitals: who comes, how often there is something to find, and which machine takes the
//! picture.

use std::num::NonZeroUsize;

use wardround_core::ids::SiteId;
use wardround_core::seed::Seed;

use super::dice::Dice;
use super::scanner::{Depth, Marker, Scanner};

/// A hospital.
#[derive(Debug, Clone)]
pub(super) struct Hospital {
    pub name: SiteId,
    pub about: &'static str,
    /// Share of patients with a finding.
    pub prevalence: f64,
    /// Its patients, as a share of a usual hospital's.
    size: f64,
    female: f64,
    age: f32,
    /// Share of patients who are pictured lying down, by a portable machine.
    portable: f64,
    scanner: Scanner,
    change: Change,
}

/// Whether the machine changes while data are collected.
#[derive(Debug, Clone)]
enum Change {
    Never,
    /// From the patient at this share of the list on, another machine.
    From(f64, Scanner),
}

/// A patient.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Person {
    pub sex: Sex,
    /// Years, 18 to 92.
    pub age: u8,
    pub view: View,
    pub lesion: Option<Lesion>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sex {
    Female,
    Male,
}

impl Sex {
    pub fn name(self) -> &'static str {
        match self {
            Sex::Female => "female",
            Sex::Male => "male",
        }
    }
}

/// From behind (standing) or from the front (lying).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    Pa,
    Ap,
}

impl View {
    pub fn name(self) -> &'static str {
        match self {
            View::Pa => "PA",
            View::Ap => "AP",
        }
    }
}

/// What is to be found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lesion {
    pub radius: f32,
    pub density: f32,
}

/// One picture of a patient.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Exam {
    /// Relative to the hospital's folder.
    pub path: String,
    /// The key, with its leading zeros; every hospital counts from 0001.
    pub patient: String,
    /// Counts from 1.
    pub image: u32,
    pub person: Person,
    pub view: View,
    /// The patient's place in the hospital's list, 0 to 1.
    moment: f64,
}

impl Hospital {
    /// So many hospitals; the four kinds take turns.
    pub fn list(count: NonZeroUsize) -> Vec<Self> {
        (0..count.get()).map(Self::number).collect()
    }

    fn number(at: usize) -> Self {
        let usual = Scanner::usual();
        let (name, mut hospital) = match at % 4 {
            0 => (
                "harbour",
                Self {
                    about: "a new digital machine, many healthy people",
                    prevalence: 0.25,
                    size: 1.1,
                    female: 0.50,
                    age: 52.0,
                    portable: 0.10,
                    scanner: usual,
                    ..Self::usual()
                },
            ),
            1 => (
                "hillside",
                Self {
                    about: "16 bit, soft contrast, older people",
                    prevalence: 0.38,
                    size: 0.9,
                    female: 0.42,
                    age: 66.0,
                    portable: 0.25,
                    scanner: Scanner {
                        gamma: 0.80,
                        blur: 1.1,
                        noise: 0.010,
                        depth: Depth::Sixteen,
                        marker: Marker::Bright { letter: 'R', left: true },
                        ..usual
                    },
                    ..Self::usual()
                },
            ),
            2 => (
                "lakeside",
                Self {
                    about: "hard contrast, noisy, inverted marker, mostly women",
                    prevalence: 0.30,
                    size: 1.0,
                    female: 0.66,
                    age: 47.0,
                    portable: 0.05,
                    scanner: Scanner {
                        gamma: 1.30,
                        gain: 1.12,
                        noise: 0.030,
                        marker: Marker::Inverted { letter: 'L' },
                        ..usual
                    },
                    ..Self::usual()
                },
            ),
            _ => (
                "meadow",
                Self {
                    about: "lying patients; its machine was replaced half-way (the injected shift)",
                    prevalence: 0.45,
                    size: 1.0,
                    female: 0.45,
                    age: 60.0,
                    portable: 0.55,
                    scanner: Scanner {
                        gain: 0.86,
                        haze: 0.07,
                        blur: 0.8,
                        noise: 0.018,
                        vignette: 0.16,
                        marker: Marker::Bright { letter: 'L', left: false },
                        ..usual
                    },
                    change: Change::From(
                        0.5,
                        Scanner {
                            gamma: 1.15,
                            sharpen: 0.9,
                            noise: 0.008,
                            depth: Depth::Sixteen,
                            marker: Marker::None,
                            ..usual
                        },
                    ),
                    ..Self::usual()
                },
            ),
        };
        let name = match at / 4 {
            0 => name.to_owned(),
            turn => format!("{name}_{}", turn + 1),
        };
        hospital.name = SiteId::parse(&name).expect("the names are site ids");
        hospital
    }

    fn usual() -> Self {
        Self {
            name: SiteId::parse("usual").expect("the name is a site id"),
            about: "",
            prevalence: 0.3,
            size: 1.0,
            female: 0.5,
            age: 55.0,
            portable: 0.2,
            scanner: Scanner::usual(),
            change: Change::Never,
        }
    }

    /// Every picture, by patient.
    pub fn exams(&self, seed: Seed, usual_patients: usize) -> Vec<Exam> {
        let patients = ((self.size * usual_patients as f64).round() as usize).max(1);
        let mut exams = Vec::new();
        for at in 0..patients {
            let patient = format!("{:04}", at + 1);
            let mut dice = Dice::new(seed, "patient", &[self.name.as_str(), &patient]);
            let person = self.person(&mut dice);
            let images = match dice.uniform() {
                draw if draw < 0.06 => 3,
                draw if draw < 0.24 => 2,
                _ => 1,
            };
            exams.extend((1..=images).map(|image| Exam {
                path: format!("images/{patient}-{image}.png"),
                patient: patient.clone(),
                image,
                person,
                view: person.view,
                moment: at as f64 / patients as f64,
            }));
        }
        exams
    }

    fn person(&self, dice: &mut Dice) -> Person {
        let sex = if dice.chance(self.female) { Sex::Female } else { Sex::Male };
        let age = (self.age + 15.0 * dice.bell()).clamp(18.0, 92.0) as u8;
        let view = if dice.chance(self.portable) { View::Ap } else { View::Pa };
        // A few more findings in the old, the mean over a hospital stays near its prevalence.
        let odds = self.prevalence * (1.0 + f64::from(f32::from(age) - self.age) * 0.008);
        let lesion = dice.chance(odds).then(|| {
            let radius = dice.between(0.08, 0.19);
            Lesion { radius, density: dice.between(0.08, 0.30) }
        });
        Person { sex, age, view, lesion }
    }

    /// The machine that took a picture.
    pub fn scanner(&self, exam: &Exam) -> &Scanner {
        match &self.change {
            Change::From(moment, scanner) if exam.moment >= *moment => scanner,
            Change::From(..) | Change::Never => &self.scanner,
        }
    }
}
