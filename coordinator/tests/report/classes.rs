//! Several classes together in a report: what stands in every output, and what is withheld.

use wardround::report::{CallsSection, ClassesSection, Count, Estimate, Report};
use wardround_core::query::Labelling;
use wardround_core::study::Classes;
use wardround_learn::findings::{
    CallTable, CallTables, Calls, ClassMean, ClassMeans, Figures, Findings, MeansOfCells,
    ProfileCell, TargetFindings,
};
use wardround_learn::metrics::called::figures as figures_of_calls;
use wardround_learn::metrics::classes::means;
use wardround_privacy::policy::Consent;
use wardround_privacy::suppress::Reason;

use crate::made_up::{Patient, context, findings, outputs, patients, with_small_cells};

/// The same with a third class, which as many patients have as the second.
fn of_three(patients: &[Patient]) -> Findings {
    let mut found = findings(4, patients);
    found.classes = ["rest", "mel", "bcc"].map(str::to_owned).to_vec();
    let profile = &mut found.profile;
    let cells = profile.by_site.iter_mut().chain(profile.by_subgroup.iter_mut().flatten());
    let cells = cells.chain(profile.by_site_and_subgroup.iter_mut().flatten().flatten());
    cells.chain([&mut profile.all]).for_each(third_class);
    let second = found.targets.remove(0);
    found.targets = (0..3).map(|class| target(&second, class)).collect();
    let names = ["rest", "mel", "bcc"];
    let of = |cell: &dyn Fn(&TargetFindings) -> Figures| -> Vec<ClassMean> {
        let cells: Vec<Figures> = found.targets.iter().map(cell).collect();
        let cells: Vec<&Figures> = cells.iter().collect();
        means(Labelling::Single, &names, &cells)
    };
    let judged = &second.nested.judged;
    let levels = |column: usize| 0..judged.by_subgroup[column].len();
    found.class_means = ClassMeans::Several(MeansOfCells {
        one_list: of(&|one| one.nested.judged.one_list.clone()),
        by_site: (0..4).map(|at| of(&|one| one.nested.judged.by_site[at].clone())).collect(),
        by_subgroup: (0..2)
            .map(|c| {
                let level = |l: usize| of(&|one| one.nested.judged.by_subgroup[c][l].clone());
                levels(c).map(level).collect()
            })
            .collect(),
    });
    let table = |figures: &Figures| table(figures, &found.classes);
    found.calls = Calls::Asked(CallTables {
        all: table(&judged.one_list),
        by_site: judged.by_site.iter().map(table).collect(),
        by_subgroup: judged.by_subgroup.iter().map(|of| of.iter().map(table).collect()).collect(),
    });
    found
}

fn third_class(cell: &mut ProfileCell) {
    let (patients, rows) = (cell.patients_by_class[1], cell.rows_by_class[1]);
    cell.patients_by_class.push(patients);
    cell.rows_by_class.push(rows);
    cell.patients += patients;
    cell.all_rows += rows;
}

/// The second class's target as another class's.
fn target(second: &TargetFindings, class: u8) -> TargetFindings {
    let mut target = second.clone();
    target.class = class;
    let judged = &mut target.nested.judged;
    judged.uncertainty = Default::default();
    let cells = judged.by_site.iter_mut().chain(judged.by_subgroup.iter_mut().flatten());
    let left_out = target.left_out.iter_mut().map(|out| &mut out.figures);
    for cell in cells.chain([&mut judged.one_list]).chain(left_out) {
        let ([n, p], [rows_n, rows_p]) = (cell.patients, cell.rows);
        let [tp, fp, tn, fn_] = cell.confusion;
        (cell.patients, cell.rows, cell.confusion) = match class {
            0 => ([2 * p, n], [2 * rows_p, rows_n], [tn, 2 * fn_, 2 * tp, fp]),
            _ => ([n + p, p], [rows_n + rows_p, rows_p], [tp, fp + tp, tn + fn_, fn_]),
        };
    }
    target
}

/// Nobody of the last two classes is called the other.
fn table(figures: &Figures, classes: &[String]) -> CallTable {
    let [tp, fp, tn, fn_] = figures.confusion;
    let rows = vec![tn, fp, 0, fn_, tp, 0, fn_, 0, tp];
    let figures = figures_of_calls(classes, std::slice::from_ref(&rows), &[], 100);
    CallTable { patients: rows.clone(), rows, figures }
}

fn built(found: &Findings, refuses: Option<usize>) -> Report {
    let mut context = context(found);
    let labels = found.classes.clone();
    context.study.target.classes = Classes::OneVsRest { labels };
    if let Some(site) = refuses {
        context.sites[site].policy.per_site_metrics = Consent::Refused;
    }
    Report::build(found, &context).unwrap()
}

fn mean<'a>(report: &'a Report, of: &str, name: &str) -> &'a Estimate {
    let ClassesSection::Several { means, .. } = &report.classes else { panic!("three classes") };
    let row = means.iter().find(|row| row.of == of).expect("every slice has a row");
    &row.means.iter().find(|mean| mean.name == name).expect("of every metric").estimate
}

fn accuracy<'a>(report: &'a Report, of: &str) -> &'a Estimate {
    let ClassesSection::Several { calls, .. } = &report.classes else { panic!("three classes") };
    let CallsSection::Asked { figures, .. } = calls else { panic!("asked for") };
    &figures.iter().find(|row| row.of == of).expect("every slice has a row").figures[0].estimate
}

#[test]
fn several_classes_stand_together_in_every_output() {
    let found = of_three(&patients(4, 160));
    let report = built(&found, None);
    let value = |figures: &Figures| match &figures.auc {
        wardround_learn::findings::Figure::Known { value, .. } => *value,
        other => panic!("{other:?}"),
    };
    let auc = value(&found.targets[0].nested.judged.one_list);
    let shown = mean(&report, "all sites", "roc_auc_score").value().unwrap();
    assert!((shown - auc).abs() < 1e-6);
    let ClassesSection::Several { calls, .. } = &report.classes else { panic!("three classes") };
    let CallsSection::Asked { classes, counts, step, .. } = calls else { panic!("asked for") };
    assert_eq!((classes.len(), *step), (3, 5));
    // Counts go in steps; one of nobody is withheld, and the smallest other of its class.
    let exact = &found.calls;
    let Calls::Asked(exact) = exact else { panic!("asked for") };
    for (class, row) in counts.iter().enumerate() {
        let Count::Shown(right) = row[class] else { panic!("{row:?}") };
        assert_eq!(right % 5, 0);
        assert!(right.abs_diff(exact.all.rows[class * 3 + class]) <= 2);
        let hidden = row.iter().filter(|count| count.number().is_none()).count();
        assert_eq!(hidden, 2, "{row:?}");
    }
    let of_all = accuracy(&report, "all sites").value().unwrap();
    assert!((0.3..1.0).contains(&of_all));
    // Others have two decimals.
    let ClassesSection::Several { calls: CallsSection::Asked { figures, .. }, .. } =
        &report.classes
    else {
        panic!("asked for")
    };
    for named in &figures[0].figures[1..] {
        let hundredths = named.estimate.value().unwrap() * 100.0;
        assert!((hundredths - hundredths.round()).abs() < 1e-9, "{named:?}");
    }
    let [json, html, text] = outputs(&report);
    assert!(json.contains("\"average\": \"macro\""));
    assert!(html.contains("All classes together") && html.contains("largest probability"));
    assert!(text.contains("means over classes, all sites"), "{text}");
    assert!(text.contains("class of the largest probability"), "{text}");
    let csv = report.to_csv();
    let of = |name: &str| {
        let file = csv.iter().find(|file| file.name == name).expect("it is written");
        String::from_utf8(file.bytes.clone()).unwrap()
    };
    assert!(of("classes.csv").contains("against-the-rest,all sites,roc_auc_score,macro,"));
    assert_eq!(of("confusion.csv").lines().count(), 1 + 9);
    // A copy without the sites' names has the same figures.
    let copy = report.with_sites_pseudonymised().unwrap();
    let [json, ..] = outputs(&copy);
    assert!(found.sites.iter().all(|site| !json.contains(site.as_str())));
}

#[test]
fn what_a_class_withholds_the_mean_withholds() {
    let found = of_three(&patients(4, 160));
    let report = built(&found, Some(1));
    let refused = Estimate::Withheld { reason: Reason::RefusedBySite };
    let site = format!("at {}", found.sites[1]);
    assert_eq!(*mean(&report, &site, "roc_auc_score"), refused);
    assert_eq!(*accuracy(&report, &site), refused);
    // No site's calls are shown where one's aren't: they would follow from all less the others.
    for other in [0, 2, 3] {
        let of = accuracy(&report, &format!("at {}", found.sites[other]));
        assert!(matches!(of, Estimate::Withheld { .. }), "{of:?}");
    }
    assert!(accuracy(&report, "all sites").value().is_some());

    let small = of_three(&with_small_cells());
    let report = built(&small, None);
    let ClassesSection::Several { means, .. } = &report.classes else { panic!("three classes") };
    // A mean has a value exactly where every class's figure has.
    for (at, row) in means.iter().enumerate().skip(1).take(4) {
        for mean in &row.means {
            let each = report.sites.iter().map(|section| &section.sites[at - 1].figures);
            let hidden = each.clone().any(|figures| {
                let found = figures.named().find(|(name, _)| *name == mean.name);
                matches!(found, Some((_, Estimate::Withheld { .. })))
            });
            assert_eq!(matches!(mean.estimate, Estimate::Withheld { .. }), hidden, "{}", row.of);
        }
    }
}
