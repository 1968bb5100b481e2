//! A report's CSV tables.

use crate::made_up::{context, findings, joined, patients, usual, with_small_cells};
use wardround::report::{Report, SliceKind};

/// A table's lines by the names of its columns.
fn lines(report: &Report, name: &str) -> Vec<csv::StringRecord> {
    let files = report.to_csv();
    let file = files.iter().find(|file| file.name == name).expect("it is written");
    let mut reader = csv::Reader::from_reader(file.bytes.as_slice());
    let columns = reader.headers().unwrap().len();
    let lines: Vec<_> = reader.records().map(|line| line.unwrap()).collect();
    assert!(lines.iter().all(|line| line.len() == columns), "{name}");
    assert!(!lines.is_empty(), "{name}");
    lines
}

fn number(line: &csv::StringRecord, at: usize) -> Option<f64> {
    let text = &line[at];
    (!text.is_empty()).then(|| text.parse().unwrap_or_else(|_| panic!("'{text}' in {line:?}")))
}

#[test]
fn figures_are_the_reports() {
    let findings = joined(findings(4, &with_small_cells()));
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let figures = lines(&report, "figures.csv");
    let all = report.figures();
    assert_eq!(figures.len(), all.len());
    let mut withheld = 0;
    for (line, figure) in figures.iter().zip(all) {
        let of = [
            &figure.slice.class,
            figure.slice.kind.word(),
            &figure.slice.column,
            &figure.slice.name,
        ];
        assert_eq!([&line[0], &line[1], &line[2], &line[3]], of);
        assert_eq!(&line[4], figure.metric);
        let ends = [number(line, 6), number(line, 7)];
        assert_eq!(number(line, 5), figure.estimate.value());
        assert_eq!(ends, figure.estimate.ends().map_or([None; 2], |ends| ends.map(Some)));
        assert_eq!(line[9].is_empty(), &line[8] == "known");
        withheld += usize::from(&line[8] == "withheld");
        assert!(&line[8] != "withheld" || number(line, 5).is_none() && ends == [None; 2]);
    }
    assert!(withheld >= 10, "{withheld}");
    // Every site is there three times: judged, left out, and with its own model, but for the unfit one.
    let sites = |kind: SliceKind| {
        let mut names: Vec<&str> =
            figures.iter().filter(|line| &line[1] == kind.word()).map(|line| &line[3]).collect();
        names.dedup();
        names.len()
    };
    let kinds = [SliceKind::Site, SliceKind::LeftOutSite];
    assert_eq!(kinds.map(sites), [4, 4]);
    let site = figures.iter().find(|line| &line[1] == "site" && &line[4] == "roc_auc_score");
    assert_eq!(number(site.unwrap(), 5), report.sites[0].sites[0].figures.auc.value());
    let gain = figures.iter().filter(|line| &line[4] == "gain_of_joining").count();
    assert_eq!(gain, 3);
}

#[test]
fn withheld_counts_leave_their_cells_empty() {
    let findings = findings(4, &with_small_cells());
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let cohort = lines(&report, "cohort.csv");
    let shown = |line: &&csv::StringRecord| !line[5].is_empty();
    assert!(cohort.iter().filter(|line| !shown(line)).count() >= 16);
    for line in &cohort {
        assert_eq!(&line[6] == "known", shown(&line));
        assert_eq!(line[7].is_empty(), shown(&line));
    }
    let of = |site: &str, class: &str| {
        let found = cohort.iter().find(|line| {
            [&line[0], &line[1], &line[2], &line[3], &line[4]] == [site, "", "", class, "patients"]
        });
        found.unwrap()[5].parse::<u64>().unwrap()
    };
    let patients: u64 = report.cohort.sites.iter().map(|row| of(row.site.as_str(), "")).sum();
    assert_eq!(patients, of("", ""));
    assert_eq!(of("", "mel") + of("", "rest"), of("", ""));

    let calls = lines(&report, "calls.csv");
    let row = &report.sites[0].sites[1];
    let line = calls.iter().find(|line| line[3] == *row.site.as_str()).unwrap();
    let confusion = &row.figures.confusion;
    assert_eq!(number(line, 8), confusion.true_positives.number().map(|n| n as f64));
    assert_eq!(number(line, 11), confusion.false_negatives.number().map(|n| n as f64));
    let hidden: Vec<_> = calls.iter().filter(|line| !line[13].is_empty()).collect();
    assert!(!hidden.is_empty() && hidden.iter().all(|line| line[8].is_empty()));
}

#[test]
fn curves_are_point_by_point() {
    let (_, report) = usual();
    let roc = lines(&report, "roc.csv");
    let all: Vec<_> = roc.iter().filter(|line| &line[1] == "all-sites").collect();
    let points = report.pooled[0].figures.roc.points();
    assert_eq!(all.len(), points.len());
    for (line, [false_rate, true_rate]) in all.iter().zip(points) {
        assert_eq!([number(line, 5), number(line, 6)], [Some(*false_rate), Some(*true_rate)]);
    }
    let unknown = roc.iter().find(|line| &line[2] == "sex" && &line[3] == "unknown").unwrap();
    assert_eq!([&unknown[4], &unknown[5], &unknown[7]], ["", "", "withheld"]);
    let calibration = lines(&report, "calibration.csv");
    let bins = report.pooled[0].reliability.bins();
    assert_eq!(calibration.len(), bins.len());
    for (line, bin) in calibration.iter().zip(bins) {
        let read = [5, 6, 7, 8].map(|at| number(line, at).unwrap());
        assert_eq!(read, [bin.from, bin.images as f64, bin.predicted, bin.observed]);
    }
}

#[test]
fn gaps_have_their_verdict() {
    let findings = findings(4, &patients(4, 160));
    let report = Report::build(&findings, &context(&findings)).unwrap();
    let gaps = lines(&report, "gaps.csv");
    let all: Vec<_> = report.fairness[0].gaps().collect();
    assert_eq!(gaps.len(), all.len());
    for (line, (column, gap)) in gaps.iter().zip(all) {
        assert_eq!([&line[0], &line[1], &line[2]], ["mel", column, &gap.name]);
        assert_eq!(number(line, 3), gap.difference.value());
        assert_eq!(number(line, 8), gap.ratio.value());
        assert_eq!([&line[9], &line[10]], [&gap.lowest, &gap.highest]);
        assert_eq!(&line[12], gap.verdict.word());
        let chance = [13, 14, 15].map(|at| number(line, at));
        assert_eq!(chance, gap.verdict.chance().map_or([None; 3], |chance| chance.map(Some)));
    }
}

#[test]
fn uncertainty_is_the_reports() {
    let (_, report) = usual();
    let all = lines(&report, "uncertainty.csv");
    let section = &report.uncertainty[0];
    let [methods, sets, own, kept] = [
        section.recalibrated.len(),
        section.conformal.len(),
        section.own_thresholds.len(),
        section.abstention.len(),
    ];
    assert_eq!(all.len(), 4 * methods + 4 * sets + 4 * own + 2 * kept);
    let coverage = all.iter().find(|line| &line[1] == "conformal" && &line[4] == "coverage");
    assert_eq!(number(coverage.unwrap(), 5), section.conformal[0].coverage.value());
    let withheld = all.iter().filter(|line| &line[8] == "withheld");
    assert!(withheld.clone().count() > 0);
    assert!(withheld.clone().all(|line| number(line, 5).is_none()));
}
