//! Phantoms: made-up pictures that look like chest radiographs, for a federation without data.
//!
//! Nobody was ever X-rayed for them. A chest is a handful of shapes (lungs, heart, ribs, vessels)
//! whose densities add up; a finding is a soft nodule in a lung, often too faint to be seen; a
//! hospital is a scanner, a mix of patients and a prevalence. Every picture bears the word PHANTOM.
//!
//! A picture is a function of seed, hospital, patient and image number alone: integer randomness
//! ([`Seed`]), `libm`, and f32 loops in a fixed order, so every machine draws the same bytes.

mod anatomy;
mod canvas;
mod dice;
mod hospital;
mod scanner;
mod stamp;

use std::fs;
use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use wardround_core::ids::SiteId;
use wardround_core::seed::Seed;

use anatomy::Chest;
use dice::Dice;
use hospital::{Exam, Hospital};

/// Pixels of a side.
pub const SIDE: usize = 256;

/// What to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Phantoms {
    /// The seed.
    pub seed: Seed,
    /// Hospitals, at least 1. From the fifth on, scanners and mixes of patients repeat.
    pub hospitals: NonZeroUsize,
    /// Patients of a usual hospital; each has its own share of it (0.8 to 1.2).
    pub patients: usize,
}

impl Default for Phantoms {
    fn default() -> Self {
        Self { seed: Seed(1895), hospitals: NonZeroUsize::MIN.saturating_add(3), patients: 200 }
    }
}

/// A hospital's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PhantomSite {
    /// The hospital.
    pub site: SiteId,
    /// Its `manifest.csv`; image paths in it are relative to its folder.
    pub manifest: PathBuf,
    /// Patients.
    pub patients: usize,
    /// Images.
    pub images: usize,
    /// What is particular about it, in a few words.
    pub about: &'static str,
}

/// Why phantoms couldn't be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PhantomError {
    /// A file or folder.
    #[error("can't write phantoms to {path}: {source}", path = path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The encoder.
    #[error("can't encode a phantom: {0}")]
    Encode(#[from] image::ImageError),
}

impl Phantoms {
    /// Draws every hospital into its own folder: `manifest.csv` and `images/`. Pictures that are
    /// there already are drawn again. `seen` hears how many pictures are done, of how many.
    ///
    /// # Errors
    /// [`PhantomError`]: the disk.
    pub fn draw(
        &self,
        folder: &Path,
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Vec<PhantomSite>, PhantomError> {
        let mut sites = Vec::new();
        let mut tasks = Vec::new();
        for hospital in Hospital::list(self.hospitals) {
            let home = folder.join(hospital.name.as_str());
            let images = home.join("images");
            fs::create_dir_all(&images).map_err(|source| PhantomError::write(&images, source))?;
            let exams = hospital.exams(self.seed, self.patients);
            let manifest = home.join("manifest.csv");
            fs::write(&manifest, self::manifest(&hospital, &exams))
                .map_err(|source| PhantomError::write(&manifest, source))?;
            sites.push(PhantomSite {
                site: hospital.name.clone(),
                manifest,
                patients: exams.iter().filter(|exam| exam.image == 1).count(),
                images: exams.len(),
                about: hospital.about,
            });
            tasks.extend(exams.into_iter().map(|exam| (home.clone(), hospital.clone(), exam)));
        }
        self.draw_all(&tasks, seen)?;
        Ok(sites)
    }

    fn draw_all(
        &self,
        tasks: &[(PathBuf, Hospital, Exam)],
        seen: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<(), PhantomError> {
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let failed = AtomicBool::new(false);
        let work = || -> Result<(), PhantomError> {
            while !failed.load(Ordering::Relaxed) {
                let Some((home, hospital, exam)) = tasks.get(next.fetch_add(1, Ordering::Relaxed))
                else {
                    break;
                };
                let path = home.join(&exam.path);
                let drawn = picture(self.seed, hospital, exam).and_then(|png| {
                    fs::write(&path, png).map_err(|source| PhantomError::write(&path, source))
                });
                if let Err(error) = drawn {
                    failed.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                seen(done.fetch_add(1, Ordering::Relaxed) + 1, tasks.len());
            }
            Ok(())
        };
        let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            workers.into_iter().try_for_each(|worker| worker.join().expect("drawing doesn't panic"))
        })
    }
}

impl PhantomError {
    fn write(path: &Path, source: io::Error) -> Self {
        PhantomError::Write { path: path.to_owned(), source }
    }
}

/// A picture as PNG.
fn picture(seed: Seed, hospital: &Hospital, exam: &Exam) -> Result<Vec<u8>, PhantomError> {
    let mut patient = Dice::new(seed, "chest", &[hospital.name.as_str(), &exam.patient]);
    let chest = Chest::of(&exam.person, &mut patient);
    let number = exam.image.to_string();
    let names = [hospital.name.as_str(), exam.patient.as_str(), number.as_str()];
    let mut exposure = Dice::new(seed, "exposure", &names);
    let density = chest.density(&mut exposure);
    Ok(hospital.scanner(exam).picture(density, &mut exposure)?)
}

fn manifest(hospital: &Hospital, exams: &[Exam]) -> String {
    let mut csv = "path,patient_id,finding,sex,age,view,site\n".to_owned();
    for exam in exams {
        let person = &exam.person;
        let finding = if person.lesion.is_some() { "nodule" } else { "none" };
        csv.push_str(&format!(
            "{},{},{finding},{},{},{},{}\n",
            exam.path,
            exam.patient,
            person.sex.name(),
            person.age,
            exam.view.name(),
            hospital.name
        ));
    }
    csv
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardround_core::digest::Digest;

    fn small() -> Phantoms {
        Phantoms { patients: 12, ..Phantoms::default() }
    }

    fn files(folder: &Path) -> Vec<(PathBuf, Digest)> {
        let mut found = Vec::new();
        let mut open = vec![folder.to_owned()];
        while let Some(folder) = open.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => open.push(path),
                    false => found.push((path.clone(), Digest::of(&fs::read(path).unwrap()))),
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn the_same_seed_draws_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let sites = small().draw(folder.path(), &|_, _| {}).unwrap();
        let first = files(folder.path());
        assert_eq!(first.len(), sites.iter().map(|s| s.images + 1).sum::<usize>());
        assert_eq!(small().draw(folder.path(), &|_, _| {}).unwrap(), sites);
        assert_eq!(files(folder.path()), first);
        let other = Phantoms { seed: Seed(2), ..small() };
        other.draw(folder.path(), &|_, _| {}).unwrap();
        assert_ne!(files(folder.path()), first);
    }

    #[test]
    fn hospitals_differ_as_their_scanners_do() {
        let folder = tempfile::tempdir().unwrap();
        let sites = small().draw(folder.path(), &|_, _| {}).unwrap();
        let mut bits = Vec::new();
        for site in &sites {
            let picture = site.manifest.with_file_name("images").join("0001-1.png");
            let picture = image::open(picture).unwrap();
            assert_eq!((picture.width(), picture.height()), (SIDE as u32, SIDE as u32));
            bits.push(picture.color().bits_per_pixel());
            // Neither empty nor blown out: a middle share of the pixels is neither black nor white.
            let grey = picture.into_luma8();
            let middle = grey.pixels().filter(|p| (16..240).contains(&p.0[0])).count();
            assert!(middle * 2 > SIDE * SIDE, "{}: {middle}", site.site);
        }
        assert!(bits.contains(&8) && bits.contains(&16));
    }

    #[test]
    fn patients_have_several_images_and_one_label() {
        let folder = tempfile::tempdir().unwrap();
        let sites = Phantoms::default().hospitals;
        let mut several = 0;
        for hospital in Hospital::list(sites) {
            let exams = hospital.exams(Seed(3), 200);
            several += exams.iter().filter(|exam| exam.image == 2).count();
            let with = exams.iter().filter(|e| e.image == 1 && e.person.lesion.is_some()).count();
            let all = exams.iter().filter(|e| e.image == 1).count();
            let share = with as f64 / all as f64;
            assert!((share - hospital.prevalence).abs() < 0.12, "{share}");
        }
        assert!(several > 40, "{several}");
        let drawn = small().draw(folder.path(), &|_, _| {}).unwrap();
        let manifest = fs::read_to_string(&drawn[0].manifest).unwrap();
        assert!(
            manifest
                .starts_with("path,patient_id,finding,sex,age,view,site\nimages/0001-1.png,0001,")
        );
        assert_eq!(manifest.lines().count(), drawn[0].images + 1);
    }

    #[test]
    fn a_disk_that_refuses_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "").unwrap();
        let error = small().draw(&blocked, &|_, _| {}).unwrap_err().to_string();
        assert!(error.starts_with("can't write phantoms to "), "{error}");
    }
}
