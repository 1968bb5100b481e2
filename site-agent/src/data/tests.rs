//! From made-up folders to rows, and from the real data sets where they are.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use wardround_core::digest::Digest;
use wardround_core::ids::{SiteId, StudyId};
use wardround_core::study::Study;
use wardround_learn::rows::Storage;

use super::*;
use crate::config::Columns;

const IMAGES: &str = r#"
format = 1
name = "Melanoma"
seed = 1
[target]
column = "diagnosis"
positive = ["mel"]
negative = ["nv", "bkl"]
[cohort]
filters = [{ column = "view", keep = ["derm"] }, { column = "age", min = 18 }]
[patient]
key = "lesion"
unit = "lesion"
[subgroups.sex]
values = ["female", "male"]
[subgroups.age]
bands = [0, 40, 60]
[images]
backbone = "resnet18"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 2
"#;

const TABLE: &str = r#"
format = 1
name = "Heart"
seed = 1
[target]
column = "target"
positive = [1, 2, 3, 4]
negative = [0]
[patient]
key = "patient_id"
[subgroups.sex]
values = ["0.0", "1.0"]
[table]
numeric = ["age", "sex", "trestbps", "chol", "fbs", "thalach", "exang", "oldpeak"]
categorical = { cp = [1, 2, 3, 4], restecg = [0, 1, 2] }
missing = "drop"
[classifier]
kind = "logistic"
c = [1]
[validation]
folds = 5
"#;

fn study(text: &str) -> Study {
    Study::parse(text).unwrap()
}

fn manifest(text: &str) -> Manifest {
    Manifest::parse(text.as_bytes()).unwrap()
}

/// A made-up folder of images: their digest is that of their bytes, and some are broken.
struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &[u8])]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("images")).unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join("images").join(name), bytes).unwrap();
        }
        Self(folder)
    }

    fn images(&self) -> PathBuf {
        self.0.path().join("images")
    }
}

/// Bytes instead of pixels: `broken` can't be decoded.
fn look_at_bytes(path: &Path) -> Result<Digest, String> {
    match fs::read(path) {
        Ok(bytes) if bytes.starts_with(b"broken") => Err("corrupt image".to_owned()),
        Ok(bytes) => Ok(Digest::of(&bytes)),
        Err(_) => Err("no such file".to_owned()),
    }
}

fn inspected(study: &Study, manifest: &Manifest, images: &Path) -> Inspection {
    let columns = Columns::default();
    inspect(
        study,
        &SiteData {
            manifest,
            columns: &columns,
            images,
            issuer: "a",
            look: &look_at_bytes,
            threads: 2,
        },
    )
}

fn reasons(found: &Inspection) -> BTreeMap<u64, Vec<String>> {
    let texts = |row: &SetAside| row.reasons.iter().map(Reason::to_string).collect();
    found.set_aside.iter().map(|row| (row.line, texts(row))).collect()
}

const MIXED: &str = "\
path,diagnosis,lesion,view,age,sex
a.png,mel,007,derm,30,female
b.png,nv,7,derm,61.5,M
c.png,bkl,x,derm,40,
d.png,mel,x,derm,17,male
e.png,mel,x,CT,30,male
f.png,wart,,derm,30,male
g.png,,x,derm,30,male
broken.png,mel,x,derm,30,male
nowhere.png,mel,x,derm,30,male
../secret.png,mel,x,derm,30,male
,mel,x,derm,30,male
h.png,mel,x,derm,30,male
h2.png,mel,y,derm,30,male
i.png,mel,x,derm,30,male
i.png,nv,x,derm,30,male
j.png,mel,x,derm,30,male
j2.png,mel,x,derm,31,male
a.png,mel,007,derm,30,female
too,short
";

fn mixed() -> Folder {
    Folder::with(&[
        ("a.png", b"a"),
        ("b.png", b"b"),
        ("c.png", b"c"),
        ("f.png", b"f"),
        ("g.png", b"g"),
        ("broken.png", b"broken"),
        ("h.png", b"h"),
        ("h2.png", b"h"),
        ("i.png", b"i"),
        ("j.png", b"j"),
        ("j2.png", b"j"),
    ])
}

#[test]
fn every_problem_is_found_at_once() {
    let folder = mixed();
    let found = inspected(&study(IMAGES), &manifest(MIXED), &folder.images());
    assert_eq!(found.obstacles, []);
    assert_eq!((found.lines, found.filtered_out), (19, 2));
    let expected: [(u64, &[&str]); 13] = [
        (7, &["the study doesn't know the label 'wart'", "no patient key"]),
        (8, &["no label"]),
        (9, &["unreadable image: corrupt image"]),
        (10, &["unreadable image: no such file"]),
        (11, &["the path leads out of the images folder: '../secret.png'"]),
        (12, &["no image path"]),
        (13, &["the same image for several patients (line 14)"]),
        (14, &["the same image for several patients (line 13)"]),
        (15, &["the same image with several labels (line 16)"]),
        (16, &["the same image with several labels (line 15)"]),
        (18, &["the same image as in a row before (line 17)"]),
        (19, &["the same row as one before (line 2)"]),
        (20, &["2 cells, the header has 6"]),
    ];
    let expected: BTreeMap<u64, Vec<String>> = expected
        .iter()
        .map(|(line, texts)| (*line, texts.iter().map(|text| (*text).to_owned()).collect()))
        .collect();
    assert_eq!(reasons(&found), expected);
    let rows: Vec<(u64, &str, u8, &[u8])> = found
        .rows
        .iter()
        .map(|r| (r.line, r.patient.as_str(), r.classes.single().unwrap(), r.levels.as_slice()))
        .collect();
    let kept: [(u64, &str, u8, &[u8]); 4] =
        [(2, "007", 1, &[0, 0]), (3, "7", 0, &[2, 2]), (4, "x", 0, &[2, 1]), (17, "x", 1, &[1, 0])];
    assert_eq!(rows, kept);
    let image = RowInput::Image { path: folder.images().join("a.png"), digest: Digest::of(b"a") };
    assert_eq!(found.rows[0].input, image);
    assert_eq!(
        found.warnings,
        [
            "lesion: '007' and '7' count as two patients (1 rows have such a key)",
            "subgroup sex: 1 rows count as unknown because of their value: 'M' (1)",
        ]
    );

    let stopped = found.clone().cohort(0.05).unwrap_err().to_string();
    assert!(stopped.starts_with("13 of 17 rows have problems (76.5 %"), "{stopped}");
    assert!(stopped.contains("line 7: the study doesn't know the label 'wart'; no patient key"));
    let cohort = found.cohort(0.8).unwrap();
    assert_eq!((cohort.rows.len(), cohort.filtered_out, cohort.issuer.as_str()), (4, 2, "a"));
}

#[test]
fn missing_columns_are_named_with_what_they_are_for() {
    let manifest = manifest("file,diagnose,view,age\nx.png,wart,derm,30\n");
    let folder = Folder::with(&[]);
    let found = inspected(&study(IMAGES), &manifest, &folder.images());
    let texts: Vec<String> = found.obstacles.iter().map(ToString::to_string).collect();
    let expected = [
        "the manifest has no column 'diagnosis', which the study needs as the label; \
         did you mean 'diagnose'? map it in site.toml: [columns] \"diagnosis\" = \"...\"",
        "the manifest has no column 'lesion', which the study needs as the patient key; \
         map it in site.toml: [columns] \"lesion\" = \"...\"",
        "the manifest has no column 'sex', which the study needs for the subgroup sex; \
         map it in site.toml: [columns] \"sex\" = \"...\"",
        "the manifest has no column 'path', which the study needs as the image's path; \
         map it in site.toml: [columns] \"path\" = \"...\"",
    ];
    assert_eq!(texts, expected);
    assert_eq!((found.rows.len(), found.set_aside.len()), (0, 0));
    assert!(matches!(found.cohort(1.0).unwrap_err(), Unusable::Obstacles(all) if all.len() == 4));

    let semicolons = self::manifest("path;diagnosis\nx.png;mel\n");
    let found = inspected(&study(IMAGES), &semicolons, &folder.images());
    assert!(found.obstacles[0].to_string().contains("is it separated by commas?"));
}

#[test]
fn mapped_columns_are_found() {
    let folder = mixed();
    let pairs =
        [("path", "Datei"), ("diagnosis", "Diagnose"), ("lesion", "Fall"), ("age", "Alter")];
    let columns =
        Columns::new(pairs.map(|(column, header)| (column.to_owned(), header.to_owned())));
    let manifest = manifest("Alter,Diagnose,Fall,view,sex,Datei\n30,mel,1,derm,male,a.png\n");
    let images = folder.images();
    let data = SiteData {
        manifest: &manifest,
        columns: &columns,
        images: &images,
        issuer: "a",
        look: &look_at_bytes,
        threads: 1,
    };
    let found = inspect(&study(IMAGES), &data);
    assert_eq!(found.obstacles, []);
    assert_eq!((found.rows.len(), found.rows[0].levels.as_slice()), (1, &[1u8, 0][..]));
}

#[test]
fn an_images_folder_that_isnt_there_is_one_problem() {
    let found = inspected(&study(IMAGES), &manifest(MIXED), Path::new("no/such/folder"));
    let [Obstacle::NoImagesFolder { .. }] = found.obstacles.as_slice() else {
        panic!("{:?}", found.obstacles)
    };
    assert!(!reasons(&found).values().flatten().any(|reason| reason.contains("unreadable")));
}

#[test]
fn nothing_left_says_where_the_rows_went() {
    let manifest = manifest("path,diagnosis,lesion,view,age,sex\na.png,mel,1,CT,30,male\n");
    let folder = mixed();
    let error = inspected(&study(IMAGES), &manifest, &folder.images()).cohort(0.05).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no row is left: of 1 rows 1 don't pass the study's filters, 0 have problems, 0 lack values"
    );
}

#[test]
fn labels_spelt_unlike_the_positive_one_are_reported() {
    let rest = IMAGES.replace("negative = [\"nv\", \"bkl\"]\n", "");
    let manifest = manifest(
        "path,diagnosis,lesion,view,age,sex\na.png,Mel,p1,derm,30,male\nb.png,nv,p2,derm,30,male\n",
    );
    let folder = mixed();
    let found = inspected(&study(&rest), &manifest, &folder.images());
    assert_eq!(
        found.warnings,
        [
            "1 rows with the label 'Mel' count as negative; the positive one is 'mel'",
            "no row of the class 'mel'",
        ]
    );
}

#[test]
fn rows_may_have_weights_which_are_frozen() {
    let text = TABLE.replace("[patient]", "[cohort]\nweight = \"chol\"\n[patient]");
    let text = text.replace(" \"chol\",", "");
    let row = |patient: &str, chol: &str| format!("{patient},63,1.0,1,145,{chol},1,2,150,0,2,0");
    let rows = [("p1", "0.5"), ("p2", "100"), ("p3", "101"), ("p4", ""), ("p5", "0")];
    let rows: Vec<String> = rows.iter().map(|(patient, chol)| row(patient, chol)).collect();
    let manifest = table_manifest(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let found = inspected(&study(&text), &manifest, Path::new("no images"));
    assert_eq!(found.rows.iter().map(|row| row.weight).collect::<Vec<_>>(), [0.5, 100.0, 0.0]);
    let expected =
        ["chol isn't a weight from 0 to 100: '101'", "chol isn't a weight from 0 to 100: ''"];
    assert_eq!(reasons(&found).into_values().flatten().collect::<Vec<_>>(), expected);

    let cohort = found.cohort(1.0).unwrap();
    let features = Features::of_table(&cohort).unwrap();
    let id = StudyId::parse("s1").unwrap();
    let lock = |cohort: &Cohort| {
        let features = std::slice::from_ref(&features);
        Lock::freeze(id.clone(), study(&text).digest, cohort, features).unwrap()
    };
    let mut other = cohort.clone();
    other.rows[0].weight = 0.75;
    assert_ne!(lock(&cohort).digest(), lock(&other).digest());
}

#[test]
fn a_cell_may_hold_several_labels() {
    let several = TABLE.replace(
        "positive = [1, 2, 3, 4]\nnegative = [0]",
        "any_of = [\"edema\", \"mass\"]\nseparator = \";\"\nnegative = [\"none\"]",
    );
    let rest = several.replace("\nnegative = [\"none\"]", "");
    let row =
        |patient: &str, label: &str| format!("{patient},63,1.0,1,145,233,1,2,150,0,2,{label}");
    let rows = [("p1", "mass; edema"), ("p2", "none"), ("p2", "mass"), ("p3", "Mass"), ("p4", "")];
    let rows: Vec<String> = rows.iter().map(|(patient, label)| row(patient, label)).collect();
    let manifest = table_manifest(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let nowhere = Path::new("no images");
    let found = inspected(&study(&several), &manifest, nowhere);
    let classes: Vec<Vec<u8>> = found.rows.iter().map(|row| row.classes.iter().collect()).collect();
    assert_eq!(classes, [vec![0, 1], vec![2], vec![1]]);
    assert_eq!(
        reasons(&found).into_values().flatten().collect::<Vec<_>>(),
        ["the study doesn't know the label 'Mass'", "no label"]
    );
    let text = Report::of(&study(&several), &found, 1.0).to_string();
    let lines: Vec<Vec<&str>> =
        text.lines().map(|line| line.split_whitespace().collect()).collect();
    for line in ["class edema 1 1", "class mass 2 2", "class none of them 1 1"] {
        let line: Vec<&str> = line.split(' ').collect();
        assert!(lines.contains(&line), "{text}");
    }
    let found = inspected(&study(&rest), &manifest, nowhere);
    assert_eq!(found.rows.len(), 4);
    assert_eq!(
        found.warnings,
        ["1 rows with the label 'Mass' count as negative; the positive one is 'mass'"]
    );
}

/// A 1 x 1 PNG (RFC 2083) with its pixel in a stored block (RFC 1951).
fn png(rgb: [u8; 3]) -> Vec<u8> {
    let crc = |bytes: &[u8]| {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| {
                if c & 1 == 1 { c >> 1 ^ 0xedb8_8320 } else { c >> 1 }
            })
        })
    };
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], data: &[u8]| {
        let body = [kind, data].concat();
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(&body);
        file.extend(crc(&body).to_be_bytes());
    };
    chunk(b"IHDR", &[0, 0, 0, 1, 0, 0, 0, 1, 8, 2, 0, 0, 0]);
    let pixel = [0, rgb[0], rgb[1], rgb[2]];
    let (a, b) = pixel
        .iter()
        .fold((1u32, 0u32), |(a, b), byte| (a + u32::from(*byte), b + a + u32::from(*byte)));
    let adler = (b << 16 | a).to_be_bytes();
    chunk(b"IDAT", &[&[0x78, 1, 1, 4, 0, 0xfb, 0xff][..], &pixel, &adler].concat());
    chunk(b"IEND", &[]);
    file
}

#[test]
fn real_pictures_are_decoded() {
    let red = png([255, 0, 0]);
    let folder = Folder::with(&[("red.png", &red), ("cut.png", &red[..40])]);
    let path = folder.images().join("red.png");
    assert_eq!(look(&path), Ok(Digest::of(&red)));
    let cut = look(&folder.images().join("cut.png")).unwrap_err();
    assert!(cut.contains("cut.png"), "{cut}");
}

fn table_manifest(rows: &[&str]) -> Manifest {
    let header = "patient_id,age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,target";
    manifest(&format!("{header}\n{}\n", rows.join("\n")))
}

#[test]
fn a_tables_missing_values_are_dropped_or_imputed() {
    let manifest = table_manifest(&[
        "p1,63,1.0,1.0,145,233,1,2,150,0,2.3,0",
        "p2,67,0.0,4,,286,0,2,108,1,1.5,2",
        "p3,41,0.0,,130,204,0,0.0,172,0,1.4,1",
        "p4,old,1.0,9,130,204,0,0,172,0,1.4,7",
    ]);
    let nowhere = Path::new("no images");
    let found = inspected(&study(TABLE), &manifest, nowhere);
    assert_eq!(found.rows.iter().map(|row| row.line).collect::<Vec<_>>(), [2]);
    let expected =
        vec![63.0, 1.0, 145.0, 233.0, 1.0, 150.0, 0.0, 2.3, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0];
    assert_eq!(found.rows[0].input, RowInput::Table(expected));
    let incomplete: Vec<(u64, &[String])> =
        found.incomplete.iter().map(|row| (row.line, row.columns.as_slice())).collect();
    assert_eq!(incomplete, [(3, &["trestbps".to_owned()][..]), (4, &["cp".to_owned()][..])]);
    let problems = [
        "the study doesn't know the label '7'",
        "age isn't a number: 'old'",
        "the study doesn't know '9' of cp",
    ];
    assert_eq!(reasons(&found)[&5], problems);
    let report = Report::of(&study(TABLE), &found, 0.5);
    assert_eq!(report.verdict, Verdict::Ready);
    let left_out: Vec<usize> =
        report.subgroups[0].levels.iter().map(|level| level.missing).collect();
    assert_eq!(left_out, [2, 0, 0]);

    let study = study(&TABLE.replace("\"drop\"", "\"impute\""));
    let found = inspected(&study, &manifest, nowhere);
    assert_eq!((found.rows.len(), found.incomplete.len()), (3, 0));
    let report = Report::of(&study, &found, 0.5);
    let missing: Vec<(&str, usize)> =
        report.missing.iter().map(|c| (c.name.as_str(), c.rows)).collect();
    assert_eq!(missing, [("trestbps", 1), ("cp", 1)]);
    let cohort = found.cohort(0.5).unwrap();
    let features = Features::of_table(&cohort).unwrap();
    let site = SiteId::parse("a").unwrap();
    let rows = rows(&study, &site, &cohort, &[0, 1, 2], &features, Storage::Memory).unwrap();
    assert_eq!((rows.len(), rows.schema().features), (3, 25));
    // Row 2 lacks one number; row 3 lacks cp, four one-hot features.
    assert_eq!(rows.missing_share(), 5.0 / 75.0);
    let of_p3 = rows.rows().find(|row| row.key == "p3").unwrap().features().unwrap();
    assert!(of_p3[8..12].iter().all(|value| value.is_nan()));
    assert_eq!(of_p3[12..15], [1.0, 0.0, 0.0]);
}

#[test]
fn features_must_fit_their_cohort() {
    assert!(matches!(
        Features::new([vec![1.0, 2.0], vec![3.0]]),
        Err(FeaturesError::Length { row: 1, expected: 2, got: 1 })
    ));
    let empty: [[f32; 0]; 1] = [[]];
    assert!(matches!(Features::new(empty), Err(FeaturesError::Length { row: 0, .. })));
    let folder = mixed();
    let cohort = inspected(&study(IMAGES), &manifest(MIXED), &folder.images()).cohort(1.0).unwrap();
    assert!(matches!(Features::of_table(&cohort), Err(FeaturesError::NotATable { line: 2 })));
    let site = SiteId::parse("a").unwrap();
    let short = Features::new([[1.0f32]]).unwrap();
    let error = rows(&study(IMAGES), &site, &cohort, &[0], &short, Storage::Memory).unwrap_err();
    assert_eq!(error, FeaturesError::Rows { expected: 4, got: 1 });
    let features = Features::new([[1.0f32], [2.0], [3.0], [4.0]]).unwrap();
    let rows =
        rows(&study(IMAGES), &site, &cohort, &[3, 2, 0], &features, Storage::Memory).unwrap();
    let patients: Vec<(String, String)> = rows.patients().map(|p| (p.issuer, p.key)).collect();
    assert_eq!(patients, [("a".into(), "007".into()), ("a".into(), "x".into())]);
    assert_ne!(features.digest(0), features.digest(1));
}

#[test]
fn the_report_counts_patients_and_rows() {
    let folder = mixed();
    let study = study(IMAGES);
    let found = inspected(&study, &manifest(MIXED), &folder.images());
    let report = Report::of(&study, &found, 0.05);
    let expected = "\
study: Melanoma
manifest: 19 rows; 2 don't pass the filters, 13 have problems, 0 lack values, 4 take part

                    lesions    images
all                       3         4
class nv+bkl              2         2
class mel                 2         2
sex female                1         1
sex male                  1         1
sex unknown               2         2
age 0 to <40              2         2
age 40 to <60             1         1
age 60 and over           1         1
age unknown               0         0

please check:
  lesion: '007' and '7' count as two patients (1 rows have such a key)
  subgroup sex: 1 rows count as unknown because of their value: 'M' (1)

rows set aside:
  2 x the same image for several patients: lines 13, 14
      the same image for several patients (line 14)
  2 x the same image with several labels: lines 15, 16
      the same image with several labels (line 16)
  2 x unreadable image: lines 9, 10
      unreadable image: corrupt image
";
    let text = report.to_string();
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("\nstopped: 13 of 17 rows have problems"), "{text}");
    let json = report.to_json();
    assert_eq!(json["total"], serde_json::json!({ "name": "all", "patients": 3, "rows": 4 }));
    assert_eq!(json["subgroups"][0]["levels"][2]["rows_by_class"], serde_json::json!([2, 0]));
    assert_eq!(json["rows_set_aside"].as_array().unwrap().len(), 13);
    let ready = Report::of(&study, &found, 1.0);
    assert!(ready.to_string().ends_with("\nready\n"));
    assert_eq!(ready.to_json()["verdict"], "ready");
}

mod locks {
    use super::*;

    struct Site {
        folder: Folder,
        manifest: String,
        home: tempfile::TempDir,
    }

    impl Site {
        fn new() -> Self {
            let manifest = "path,diagnosis,lesion,view,age,sex\n\
                            a.png,mel,p1,derm,30,male\nb.png,nv,p2,derm,50,male\n\
                            c.png,nv,p2,derm,50,female\n";
            Self {
                folder: mixed(),
                manifest: manifest.to_owned(),
                home: tempfile::tempdir().unwrap(),
            }
        }

        fn lock(&self) -> PathBuf {
            self.home.path().join("studies/s1/lock")
        }

        fn cohort(&self) -> Cohort {
            let manifest = manifest(&self.manifest);
            inspected(&study(IMAGES), &manifest, &self.folder.images()).cohort(1.0).unwrap()
        }

        fn features(&self, cohort: &Cohort) -> Features {
            Features::new(cohort.rows.iter().map(|row| match &row.input {
                RowInput::Image { digest, .. } => digest.as_bytes().map(f64::from),
                RowInput::Table(_) => panic!("an image study"),
            }))
            .unwrap()
        }

        fn hold(&self) -> Result<Held, LockError> {
            let cohort = self.cohort();
            let features = self.features(&cohort);
            self.hold_with(&cohort, &features)
        }

        fn hold_with(&self, cohort: &Cohort, features: &Features) -> Result<Held, LockError> {
            let study = StudyId::parse("s1").unwrap();
            Lock::hold(
                &self.lock(),
                &study,
                Digest::of(IMAGES.as_bytes()),
                cohort,
                std::slice::from_ref(features),
            )
        }

        #[track_caller]
        fn broken(&self) -> Vec<(String, Broken)> {
            match self.hold() {
                Err(LockError::Broken(broken, _)) => broken,
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn later_files_dont_enter() {
        let mut site = Site::new();
        let first = site.hold().unwrap();
        assert_eq!((first.taken.len(), first.later), (3, 0));
        let lock = Lock::read(&site.lock()).unwrap();
        assert_eq!(lock.digest(), first.digest);
        assert_eq!(Digest::of(&fs::read(site.lock()).unwrap()), first.digest);
        // Another order and a new row change nothing.
        site.manifest = "path,diagnosis,lesion,view,age,sex\n\
                         f.png,mel,p0,derm,30,male\nc.png,nv,p2,derm,50,female\n\
                         b.png,nv,p2,derm,50,male\na.png,mel,p1,derm,30,male\n"
            .to_owned();
        let again = site.hold().unwrap();
        assert_eq!((again.digest, again.later), (first.digest, 1));
        let cohort = site.cohort();
        let mut taken: Vec<&str> =
            again.taken.iter().map(|&at| cohort.rows[at].patient.as_str()).collect();
        taken.sort_unstable();
        assert_eq!(taken, ["p1", "p2", "p2"]);
        let files: Vec<_> = fs::read_dir(site.lock().parent().unwrap()).unwrap().collect();
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn what_no_longer_holds_is_named() {
        let mut site = Site::new();
        site.hold().unwrap();
        let cohort = site.cohort();
        let mut values: Vec<Vec<f64>> =
            (0..3).map(|at| site.features(&cohort).row(at).unwrap().to_vec()).collect();
        values[0][0] += 1e-12 + values[0][0] * 1e-12;
        let other = Features::new(&values).unwrap();
        let error = site.hold_with(&cohort, &other).unwrap_err();
        assert_eq!(
            error.to_string(),
            "1 of 3 rows frozen for this study no longer hold, so the site doesn't answer:\n\
             patient 'p1': its features differ (line 2): another device, other weights, or other values"
        );

        let good = site.manifest.clone();
        site.manifest = good.replace("a.png,mel", "a.png,nv").replace("50,female", "61,female");
        let changed =
            [("p1", Broken::OtherClass { line: 2 }), ("p2", Broken::OtherSubgroup { line: 4 })];
        let mut broken = site.broken();
        broken.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(broken, changed.map(|(patient, why)| (patient.to_owned(), why)));

        site.manifest = good.replace("mel,p1", "mel,p9");
        assert_eq!(site.broken(), [("p1".to_owned(), Broken::OtherPatient { line: 2 })]);
        site.manifest = good.replace("a.png,mel,p1,derm,30,male\n", "");
        assert_eq!(site.broken(), [("p1".to_owned(), Broken::Vanished)]);
        site.manifest = good;
        fs::write(site.folder.images().join("a.png"), b"broken").unwrap();
        let reason = "unreadable image: corrupt image".to_owned();
        assert_eq!(site.broken(), [("p1".to_owned(), Broken::SetAside { line: 2, reason })]);
        fs::write(site.folder.images().join("a.png"), b"a").unwrap();
        assert!(site.hold().is_ok());
    }

    #[test]
    fn a_table_row_keeps_its_name_when_its_values_change() {
        let study = study(TABLE);
        let rows = ["p1,63,1.0,1,145,233,1,2,150,0,2.3,0", "p1,64,1.0,1,145,233,1,2,150,0,2.3,0"];
        let of = |rows: &[&str]| {
            let cohort =
                inspected(&study, &table_manifest(rows), Path::new("none")).cohort(0.0).unwrap();
            let features = Features::of_table(&cohort).unwrap();
            (cohort, features)
        };
        let (cohort, features) = of(&rows);
        let id = StudyId::parse("s1").unwrap();
        let lock =
            Lock::freeze(id, study.digest, &cohort, std::slice::from_ref(&features)).unwrap();
        assert_eq!(lock.entries()[1].row, RowId::Row(1));
        let (cohort, features) = of(&[rows[0], &rows[1].replace("2.3", "2.4")]);
        let Err(LockError::Broken(broken, 2)) =
            lock.verify(&cohort, std::slice::from_ref(&features))
        else {
            panic!()
        };
        assert_eq!(broken, [("p1".to_owned(), Broken::OtherFeatures { line: 3 })]);
    }

    #[test]
    fn a_damaged_or_foreign_lock_is_refused() {
        let site = Site::new();
        site.hold().unwrap();
        let text = fs::read_to_string(site.lock()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for damaged in [
            String::new(),
            "{}\n".to_owned(),
            text.replace("\"wardround_lock\":1", "\"wardround_lock\":2"),
            lines[..3].join("\n"),
            text.replacen("p1", "p3", 1),
            format!("{}\n{}\n{}\n{}\n", lines[0], lines[2], lines[1], lines[3]),
            text.replace(",1,", ", 1,"),
            text.trim_end().to_owned(),
        ] {
            assert_ne!(damaged, text);
            fs::write(site.lock(), &damaged).unwrap();
            let error = site.hold().unwrap_err();
            let changed = damaged.contains("p3");
            assert!(
                matches!(error, LockError::Damaged { .. })
                    || changed && matches!(error, LockError::Broken(..)),
                "{damaged}: {error}"
            );
        }
        fs::write(site.lock(), &text).unwrap();
        let cohort = site.cohort();
        let other = StudyId::parse("s2").unwrap();
        let features = site.features(&cohort);
        let error = Lock::hold(
            &site.lock(),
            &other,
            Digest::of(b""),
            &cohort,
            std::slice::from_ref(&features),
        )
        .unwrap_err();
        assert!(error.to_string().contains("is of study s1"), "{error}");
        assert!(site.hold().is_ok());
    }
}

mod real {
    use super::*;

    /// The folder of real data sets, if it is there.
    fn data_set(name: &str) -> Option<PathBuf> {
        let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
        let folder = std::env::var_os("WARDROUND_DATA").map_or(default, PathBuf::from).join(name);
        if folder.is_dir() {
            return Some(folder);
        }
        eprintln!("skipped: {} isn't there; WARDROUND_DATA names the folder", folder.display());
        None
    }

    fn of_hospital(study: &str, column: &str, hospital: &str) -> Study {
        let filter = format!(
            "[cohort]\nfilters = [{{ column = \"{column}\", keep = [\"{hospital}\"] }}]\n[patient]"
        );
        self::study(&study.replace("[patient]", &filter))
    }

    #[test]
    fn heart_disease_keeps_its_complete_rows() {
        let Some(folder) = data_set("heart_disease") else { return };
        let manifest = Manifest::read(&folder.join("patients.csv")).unwrap();
        let kept: Vec<usize> = ["cleveland", "hungarian", "switzerland", "va"]
            .map(|hospital| {
                let study = of_hospital(TABLE, "hospital", hospital);
                let found = inspected(&study, &manifest, &folder);
                assert_eq!(found.set_aside, [], "{hospital}");
                found.cohort(0.0).unwrap().rows.len()
            })
            .to_vec();
        assert_eq!(kept, [303, 261, 46, 130]);
        let found = inspected(&study(TABLE), &manifest, &folder);
        assert_eq!((found.rows.len(), found.incomplete.len(), found.lines), (740, 180, 920));
    }

    #[test]
    fn findings_of_chest_radiographs_stand_together() {
        let Some(folder) = data_set("nih1000") else { return };
        let shipped = include_str!("../../../deploy/studies/chest-findings.toml");
        let manifest = Manifest::read(&folder.join("manifest.csv")).unwrap();
        let found = inspected(&study(shipped), &manifest, &folder);
        assert_eq!((found.rows.len(), &found.set_aside[..]), (1000, &[][..]));
        let rows = |class| found.rows.iter().filter(|row| row.classes.has(class)).count();
        assert_eq!([0, 1, 2, 3].map(rows), [170, 162, 95, 83]);
        assert!(found.rows.iter().any(|row| row.classes.count() == 3));
    }

    #[test]
    fn skin_lesions_are_sound() {
        let Some(folder) = data_set("ham10000") else { return };
        let text = IMAGES
            .replace("negative = [\"nv\", \"bkl\"]\n", "")
            .replace("key = \"lesion\"", "key = \"lesion_id\"");
        let a = text.find("[cohort]").unwrap();
        let b = text.find("[patient]").unwrap();
        let study = study(&format!("{}{}", &text[..a], &text[b..]));
        let manifest = Manifest::read(&folder.join("manifest.csv")).unwrap();
        let columns = Columns::default();
        let data = SiteData {
            manifest: &manifest,
            columns: &columns,
            images: &folder,
            issuer: "ham10000",
            look: &look,
            threads: 2,
        };
        let found = inspect(&study, &data);
        eprintln!("{}", Report::of(&study, &found, 0.05));
        assert_eq!(found.lines, 8019);
        assert!(found.problem_share() < 0.01, "{:?}", found.set_aside.first());
        let cohort = found.cohort(0.05).unwrap();
        assert_eq!(cohort.rows.len() + cohort.set_aside.len(), 8019);
    }
}
