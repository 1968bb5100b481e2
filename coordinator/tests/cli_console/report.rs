//! `wardround study report` with what this program makes of the report itself.

use wardround::report::Report;
use wardround::store::{Artefact, NewStudy, StudyState};
use wardround_core::clock::Clock as _;
use wardround_core::ids::UserId;

use crate::binary::{STUDY, Scene, wardround};
use crate::made_up::usual;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn copies_tables_and_cards_are_made_of_the_report_that_the_coordinator_has() {
    let scene = Scene::set().await;
    let new = NewStudy {
        name: "Melanoma".into(),
        toml: STUDY.into(),
        sites: vec![],
        by: UserId::parse("lea").unwrap(),
        token: String::new(),
        parent: String::new(),
    };
    let (store, now) = (&scene.running.store, scene.running.clock.now());
    let (id, _) = store.add_study(&new, now).unwrap();
    let (_, report) = usual();
    store.put_artefact(&id, Artefact::ReportJson, report.to_json().as_bytes()).unwrap();
    store.set_study_state(&id, StudyState::Done, "", now).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let of = |more: &[&str]| {
        wardround(&scene.lead, &[&["study", "report", id.as_str()][..], more].concat())
    };

    let whole = of(&["--format", "json"]);
    assert_eq!(Report::from_json(&whole.stdout).unwrap(), report);
    let copy = of(&["--format", "json", "--pseudonymise-sites"]);
    assert_eq!(copy.exit, 0, "{}", copy.stderr);
    let expected = report.with_sites_pseudonymised().unwrap();
    assert_eq!(Report::from_json(&copy.stdout).unwrap(), expected);
    assert!(
        copy.stderr.contains("read 'Melanoma against the rest, four sites'"),
        "{}",
        copy.stderr
    );
    let page = of(&["--format", "html", "--pseudonymise-sites"]);
    assert_eq!(page.stdout, expected.to_html());

    let made = of(&["--csv", &path("tables"), "--model-card", &path("card.md")]);
    assert_eq!((made.exit, made.stdout.as_str()), (0, ""), "{}", made.stderr);
    for file in report.to_csv() {
        assert_eq!(
            std::fs::read(folder.path().join("tables").join(file.name)).unwrap(),
            file.bytes
        );
    }
    assert_eq!(std::fs::read_to_string(path("card.md")).unwrap(), report.to_model_card());
    // What people wrote is put in, and what isn't written is said.
    std::fs::write(path("said.toml"), "funding = \"A fund at vidir.\"\ntitle = \"\"\n").unwrap();
    let with = of(&["--format", "json", "--statements", &path("said.toml")]);
    assert_eq!(with.exit, 0, "{}", with.stderr);
    assert!(with.stderr.contains("not written yet: title, abstract"), "{}", with.stderr);
    let with = Report::from_json(&with.stdout).unwrap();
    assert_eq!(with.statements.get("funding"), Some("A fund at vidir."));
    assert_eq!(Report { statements: report.statements.clone(), ..with }, report);
    let copy = of(&["--pseudonymise-sites", "--statements", &path("said.toml")]);
    assert!(copy.stderr.contains("'funding' has the word 'vidir'"), "{}", copy.stderr);
    std::fs::write(path("said.toml"), "fundings = \"A fund\"\n").unwrap();
    let wrong = of(&["--statements", &path("said.toml")]);
    assert_eq!((wrong.exit, wrong.stdout.as_str()), (4, ""));
    assert!(wrong.stderr.contains(":1:1: unknown key 'fundings'"), "{}", wrong.stderr);
    let template = wardround(folder.path(), &["study", "statements", "--out", &path("new.toml")]);
    assert_eq!(template.exit, 0, "{}", template.stderr);
    let checked = wardround(folder.path(), &["study", "statements", "--check", &path("new.toml")]);
    assert!(
        checked.stdout.contains("0 texts are written; missing are title,"),
        "{}",
        checked.stdout
    );

    // Nothing is overwritten, and nothing written beside what is there.
    std::fs::remove_file(folder.path().join("tables/cohort.csv")).unwrap();
    let again = of(&["--csv", &path("tables")]);
    assert_eq!(again.exit, 4);
    assert!(again.stderr.contains("is there already"), "{}", again.stderr);
    assert!(!folder.path().join("tables/cohort.csv").exists());

    // All of it from the copy, and the report as well.
    let all = ["--pseudonymise-sites", "--csv", &path("b"), "--model-card", &path("b.md")];
    let made = of(&[&all[..], &["--out", &path("b.txt")]].concat());
    assert_eq!((made.exit, made.stdout.as_str()), (0, ""), "{}", made.stderr);
    for name in ["b.md", "b.txt", "b/figures.csv", "b/cohort.csv", "b/calls.csv", "b/roc.csv"] {
        let text = std::fs::read_to_string(path(name)).unwrap();
        assert!(text.contains("site-1"), "{name}");
        for site in &report.cohort.sites {
            assert!(!text.contains(site.site.as_str()), "{name}");
            assert!(!text.contains(&site.site.as_str().replace('_', "\\_")), "{name}");
        }
    }
    scene.running.stop().await;
}
