//! Two readers in a report: what is shown, and that nothing that is withheld follows.

use wardround::report::{Count, Estimate, ReadersSection, ReadersTable, Report};
use wardround_core::study::SecondReader;
use wardround_learn::findings::{Figure, Findings, Interval, ReaderTable, ReaderTables, Readers};
use wardround_privacy::policy::Consent;

use crate::made_up::{context, findings, known, outputs, patients};

fn table(counts: &[u64]) -> ReaderTable {
    let agreement = Figure::Known { value: 0.876_543, interval: Interval::NotComputed };
    let (rows, patients) = (counts.to_vec(), counts.to_vec());
    ReaderTable { rows, patients, agreement, kappa: known(0.654_321, 0.05) }
}

/// Four sites, the first with these counts.
fn read_twice(classes: &[&str], first: &[u64], others: &[u64]) -> Findings {
    let mut findings = findings(4, &patients(4, 160));
    let by_site: Vec<ReaderTable> = [first, others, others, others].map(table).into();
    let all: Vec<u64> =
        (0..first.len()).map(|at| by_site.iter().map(|site| site.rows[at]).sum()).collect();
    let classes = classes.iter().map(|&class| class.to_owned()).collect();
    findings.readers =
        Readers::Asked { tables: vec![ReaderTables { classes, all: table(&all), by_site }] };
    findings
}

fn built(findings: &Findings, refuses: Option<usize>) -> Report {
    let mut context = context(findings);
    context.study.target.second_reader = SecondReader::Column("label_2".into());
    if let Some(site) = refuses {
        context.sites[site].policy.per_site_metrics = Consent::Refused;
    }
    Report::build(findings, &context).unwrap()
}

fn only(report: &Report) -> &ReadersTable {
    let ReadersSection::Asked { tables, .. } = &report.readers else { panic!("asked for") };
    &tables[0]
}

fn kappas(of: &ReadersTable) -> Vec<Option<f64>> {
    of.sites.iter().map(|site| site.row.kappa.value()).collect()
}

#[test]
fn agreement_stands_in_every_output() {
    let others = [60, 9, 8, 40];
    let report = built(&read_twice(&["no", "yes"], &[30, 5, 6, 20], &others), None);
    let of = only(&report);
    assert_eq!(of.all.images, Count::Shown(61 + 3 * 117));
    assert_eq!(of.all.counts[1], [Count::Shown(6 + 24), Count::Shown(20 + 120)]);
    assert_eq!(kappas(of), [Some(0.654_321); 4]);
    let [json, html, text] = outputs(&report);
    assert!(json.contains("\"column\": \"label_2\""));
    assert!(html.contains("Agreement of readers: no, yes") && html.contains("label_2"));
    assert!(text.contains("Cohen's kappa 0.654 (0.604 to 0.704)"), "{text}");
}

#[test]
fn a_small_cell_of_one_site_hides_all_sites_and_of_all_hides_everything() {
    let hidden = built(&read_twice(&["no", "yes"], &[30, 4, 6, 20], &[60, 9, 8, 40]), None);
    assert_eq!(only(&hidden).all.kappa.value(), Some(0.654_321));
    assert_eq!(kappas(only(&hidden)), [None; 4]);
    let sites = &only(&hidden).sites;
    assert!(
        sites
            .iter()
            .flat_map(|site| site.row.counts.iter().flatten())
            .all(|n| n.number().is_none())
    );
    let none = built(&read_twice(&["no", "yes"], &[30, 1, 6, 20], &[60, 1, 8, 40]), None);
    assert!(matches!(only(&none).all.kappa, Estimate::Withheld { .. }));
    assert!(matches!(only(&none).all.images, Count::Withheld(_)));
    let refused = built(&read_twice(&["no", "yes"], &[30, 5, 6, 20], &[60, 9, 8, 40]), Some(2));
    assert_eq!(kappas(only(&refused)), [None; 4]);
    assert_eq!(only(&refused).all.kappa.value(), Some(0.654_321));
}

#[test]
fn of_several_classes_a_small_cell_hides_the_table_and_digits() {
    let counts = [40, 6, 0, 7, 30, 8, 5, 9, 20];
    let report = built(&read_twice(&["a", "b", "c"], &counts, &counts), None);
    let of = only(&report);
    assert_eq!((of.all.kappa.value(), of.all.agreement.value()), (Some(0.65), Some(0.88)));
    assert!(of.all.counts.iter().flatten().all(|count| count.number().is_none()));
    assert_eq!(kappas(of), [Some(0.65); 4]);
}

#[test]
fn a_table_of_another_size_is_refused() {
    let mut findings = read_twice(&["no", "yes"], &[30, 5, 6, 20], &[60, 9, 8, 40]);
    let Readers::Asked { tables } = &mut findings.readers else { panic!("asked for") };
    tables[0].all.rows.pop();
    let mut context = context(&findings);
    context.study.target.second_reader = SecondReader::Column("label_2".into());
    let error = Report::build(&findings, &context).unwrap_err().to_string();
    assert_eq!(error, "expected 4 cells of a cross table in the findings, got 3");
}
