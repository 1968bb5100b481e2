//! The studies that are shipped, and which of them fits a manifest.

use wardround_core::study::{Input, Study, template};

use crate::hospitals::Manifest;

/// Find the nodule on phantoms.
pub const PHANTOM: &str = include_str!("../../studies/phantom.toml");
/// Melanoma against the rest on HAM10000 (Tschandl 2018).
pub const HAM10000: &str = include_str!("../../studies/ham10000.toml");
/// Heart disease from a table (UCI).
pub const HEART: &str = include_str!("../../studies/heart.toml");

/// A study for a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The file's text.
    pub toml: String,
    /// Where it comes from, as words that follow "the study is".
    pub origin: &'static str,
}

/// The shipped study whose columns and labels a manifest has, else one guessed from its header.
pub fn choose(manifest: &Manifest) -> Chosen {
    let shipped = [
        (HAM10000, "the shipped one for HAM10000 (deploy/studies/ham10000.toml)"),
        (HEART, "the shipped one for UCI heart disease (deploy/studies/heart.toml)"),
    ];
    for (toml, origin) in shipped {
        if Study::parse(toml).is_ok_and(|study| fits(&study, manifest)) {
            return Chosen { toml: toml.to_owned(), origin };
        }
    }
    Chosen {
        toml: template(&manifest.header()),
        origin: "guessed from the manifest's columns: check it",
    }
}

/// Whether a manifest has every column of a study and labels of both classes.
fn fits(study: &Study, manifest: &Manifest) -> bool {
    let mut columns = vec![study.target.column.as_str(), study.patient.key.as_str()];
    columns.extend(study.subgroups.iter().map(|subgroup| subgroup.column.as_str()));
    match &study.input {
        Input::Images { column, .. } => columns.push(column),
        Input::Table(table) => {
            columns.extend(table.numeric.iter().map(String::as_str));
            columns.extend(table.categorical.iter().map(|c| c.column.as_str()));
        }
    }
    let labels = manifest.values(&study.target.column);
    let has = |class| {
        let of = |label: &&str| study.target.classes.of_cell(label);
        labels.keys().filter_map(of).any(|classes| classes.has(class))
    };
    columns.into_iter().all(|column| manifest.has(column)) && has(0) && has(1)
}

/// A study for fewer than four sites: none is left out, and all of them make the quorum.
pub fn for_few_sites(toml: &str) -> String {
    toml.replace("\nleave_one_site_out = true", "\nleave_one_site_out = false")
        .replace("\nquorum = 3", "\nquorum = \"all\"")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn shipped_studies_are_right() {
        for toml in [PHANTOM, HAM10000, HEART] {
            let study = Study::parse(toml).unwrap_or_else(|mistakes| panic!("{mistakes}"));
            assert!(study.validation.leave_one_site_out);
            let without = Study::parse(&for_few_sites(toml)).unwrap();
            assert!(!without.validation.leave_one_site_out);
            assert_eq!(study.target, without.target);
        }
    }

    #[test]
    fn a_manifest_gets_its_study() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = |text: &str| {
            let path = folder.path().join("m.csv");
            fs::write(&path, text).unwrap();
            choose(&Manifest::read(&path).unwrap()).toml
        };
        let skin = "path,diagnosis,lesion_id,age,sex\na.jpg,mel,1,50,male\nb.jpg,nv,2,60,female\n";
        assert_eq!(chosen(skin), HAM10000);
        let header =
            "hospital,patient_id,age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,target";
        let rows = "a,1,63,1,1,145,233,1,2,150,0,2.3,0\na,2,67,1,4,160,286,0,2,108,1,1.5,2";
        assert_eq!(chosen(&format!("{header}\n{rows}\n")), HEART);
        let own = chosen("path,label,patient_id\na.png,1,1\nb.png,0,2\n");
        let study = Study::parse(&own).unwrap();
        assert_eq!(
            (study.target.column.as_str(), study.patient.key.as_str()),
            ("label", "patient_id")
        );
    }
}
